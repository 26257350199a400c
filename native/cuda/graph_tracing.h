// Whether a tool traces launches of graphs as a whole. Such a tool knows the graphs alone that were instantiated while
// it did: CUPTI 13.0 ends the process at the launch of any other, and those that it knows stay slower once it has
// stopped.
#pragma once

#include <mutex>
#include <shared_mutex>

namespace tensorrt_node::cuda {

class GraphTracing {
 public:
  static GraphTracing& instance() {
    static GraphTracing tracing;
    return tracing;
  }

  // Call `enable` and `disable` of the tool, between launches.
  template <typename Enable>
  void begin(Enable enable) {
    const std::unique_lock lock(mutex_);
    enable();
    tracing_ = true;
  }
  template <typename Disable>
  void end(Disable disable) {
    const std::unique_lock lock(mutex_);
    tracing_ = false;
    disable();
  }

  // While it lives, tracing neither begins nor ends. Held around what a launch depends on that for.
  class Hold {
   public:
    explicit Hold(GraphTracing& tracing) : lock_(tracing.mutex_), tracing_(tracing.tracing_) {}
    bool tracing() const noexcept { return tracing_; }

   private:
    const std::shared_lock<std::shared_mutex> lock_;
    const bool tracing_;
  };

 private:
  std::shared_mutex mutex_;
  bool tracing_ = false;
};

}  // namespace tensorrt_node::cuda
