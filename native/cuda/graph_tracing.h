// Which graphs were instantiated while their launches were traced as a whole: a tool that does that may crash the
// process at the launch of any other, as CUPTI 13.0 does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

namespace tensorrt_node::cuda {

class GraphTracing {
 public:
  static GraphTracing& instance() {
    static GraphTracing tracing;
    return tracing;
  }

  // Calls `enable`, which begins such tracing, unless there is a graph that it would not suit. Whether it was called.
  template <typename Enable>
  bool begin(Enable enable) {
    const std::lock_guard lock(mutex_);
    if (traced_ < graphs_) return false;
    enable();
    tracing_ = true;
    return true;
  }
  template <typename Disable>
  void end(Disable disable) {
    const std::lock_guard lock(mutex_);
    tracing_ = false;
    disable();
  }
  // The tool has left the process: when it comes back it knows none of the graphs.
  void forgetTraced() noexcept {
    const std::lock_guard lock(mutex_);
    ++visit_;
    traced_ = 0;
  }

  // Calls `instantiate`, which makes one graph. What it returns is for remove().
  template <typename Instantiate>
  std::uint64_t add(Instantiate instantiate) {
    const std::lock_guard lock(mutex_);
    instantiate();
    ++graphs_;
    if (!tracing_) return 0;
    ++traced_;
    return visit_;
  }
  // Once the graph is gone.
  void remove(std::uint64_t tracedIn) noexcept {
    const std::lock_guard lock(mutex_);
    --graphs_;
    if (tracedIn == visit_) --traced_;
  }

 private:
  std::mutex mutex_;
  bool tracing_ = false;
  // Of the tool in this process, counted from 1.
  std::uint64_t visit_ = 1;
  std::size_t graphs_ = 0;
  // Of them, those that the tool knows.
  std::size_t traced_ = 0;
};

}  // namespace tensorrt_node::cuda
