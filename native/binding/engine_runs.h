// The runs of one engine of one environment, which ends with it.
#pragma once

#include <mutex>

#include "../tensorrt/run_queue.h"
#include "errors.h"
#include "instance.h"

namespace tensorrt_node::binding {

class EngineRuns final : public Stoppable {
 public:
  EngineRuns(std::shared_ptr<const tensorrt::Engine> engine, std::size_t contexts)
      : queue_(std::move(engine), contexts) {}

  tensorrt::RunQueue& queue() noexcept { return queue_; }

  // Runs that wait end with ERR_DISPOSED; does not wait for those under way.
  void close() { queue_.close(disposed()); }
  void stop() override {
    const std::lock_guard lock(stopping_);
    queue_.stop(disposed());
  }

 private:
  static std::exception_ptr disposed() { return std::make_exception_ptr(DisposedError("the engine is disposed")); }

  tensorrt::RunQueue queue_;
  // Two ways lead to stop(): dispose, on a thread of its own, and the environment's end.
  std::mutex stopping_;
};

}  // namespace tensorrt_node::binding
