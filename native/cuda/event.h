// A CUDA event: a mark in a stream that other streams and the host can wait for.
#pragma once

#include <cuda.h>

#include <memory>

#include "context.h"

namespace tensorrt_node::cuda {

struct EventOptions {
  // Needed for millisecondsSince(); recording costs a little more.
  bool timing = false;
};

class Event {
 public:
  // Throws CudaError.
  explicit Event(std::shared_ptr<const Context> context, EventOptions options = {});
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&& other) noexcept;

  // Whether all work before the last record is done; true when never recorded. Throws what that work failed with.
  bool passed() const;
  // Blocks this thread until then.
  void wait() const;
  // Between two recorded events that have passed, both made with `timing`; resolution about 0.5 microseconds.
  float millisecondsSince(const Event& start) const;

  CUevent handle() const noexcept { return handle_; }
  const std::shared_ptr<const Context>& context() const noexcept { return context_; }

 private:
  std::shared_ptr<const Context> context_;
  CUevent handle_ = nullptr;
};

}  // namespace tensorrt_node::cuda
