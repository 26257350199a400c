// Whether a tool traces launches of graphs as a whole. Such a tool knows the graphs alone that were instantiated while
// it did: CUPTI 13.0 ends the process at the launch of any other, and those that it knows stay slower once it has
// stopped.
#pragma once

#include <functional>
#include <mutex>
#include <shared_mutex>
#include <utility>

namespace tensorrt_node::cuda {

class GraphTracing {
 public:
  static GraphTracing& instance() {
    static GraphTracing tracing;
    return tracing;
  }

  // Call `enable` and `disable` of the tool, between launches. Throws what `enable` throws.
  void begin(std::function<void()> enable, std::function<void()> disable) {
    const std::unique_lock lock(mutex_);
    enable();
    enable_ = std::move(enable);
    disable_ = std::move(disable);
    tracing_ = true;
  }
  void end() {
    const std::unique_lock lock(mutex_);
    if (std::exchange(tracing_, false)) disable_();
  }

  // Calls `work` while nothing traces: tracing pauses for it, and so do launches then.
  template <typename Work>
  void without(Work work) {
    {
      const std::shared_lock lock(mutex_);
      if (!tracing_) return work();
    }
    const std::unique_lock lock(mutex_);
    const Pause pause(*this);
    work();
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
  class Pause {
   public:
    explicit Pause(GraphTracing& tracing) : tracing_(tracing), was_(tracing.tracing_) {
      if (was_) tracing_.disable_();
    }
    ~Pause() {
      if (!was_) return;
      try {
        tracing_.enable_();
      } catch (...) {
        // Nodes are told one by one from here on.
        tracing_.tracing_ = false;
      }
    }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    GraphTracing& tracing_;
    const bool was_;
  };

  std::shared_mutex mutex_;
  bool tracing_ = false;
  std::function<void()> enable_;
  std::function<void()> disable_;
};

}  // namespace tensorrt_node::cuda
