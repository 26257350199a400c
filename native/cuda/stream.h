// A CUDA stream: the queue that copies and kernels are ordered in.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "context.h"
#include "event.h"

namespace tensorrt_node::cuda {

class Stream {
 public:
  // `name` is what profiles and errors call it. Throws CudaError.
  Stream(std::shared_ptr<const Context> context, std::string name);
  // Another owner of the same queue, which lives until the last of them is gone.
  Stream share() const { return Stream(handle_); }

  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Work queued after this waits for `event`; the host does not.
  void wait(const Event& event) const;
  // Marks the end of the work queued so far. The event must be of the stream's context.
  void record(Event& event) const;
  // Blocks this thread until the work queued so far is done; other streams are left alone.
  void synchronize() const;
  // Whether all work queued so far is done.
  bool idle() const;
  // Calls `function` on a driver thread when the work queued so far is done. It must not call CUDA, should be quick
  // (the stream stands meanwhile), and what it throws is dropped. If the context fails first it is never called.
  void callOnHost(std::function<void()> function) const;

  CUstream handle() const noexcept;
  const std::string& name() const noexcept;
  const std::shared_ptr<const Context>& context() const noexcept;

  // The same queue, not merely the same name.
  friend bool operator==(const Stream& left, const Stream& right) noexcept { return left.handle_ == right.handle_; }

 private:
  class Handle;
  explicit Stream(std::shared_ptr<const Handle> handle) noexcept : handle_(std::move(handle)) {}

  std::shared_ptr<const Handle> handle_;
};

}  // namespace tensorrt_node::cuda
