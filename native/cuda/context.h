// A device's primary context: the one that TensorRT and every other library in the process share.
#pragma once

#include <cuda.h>

#include <memory>
#include <new>

namespace tensorrt_node::cuda {

// Retained while any owner of streams, events or memory is alive: each of them holds a shared pointer to it.
class Context {
 public:
  // `ordinal` counts from 0, as CUDA_VISIBLE_DEVICES leaves them. Throws CudaError.
  static std::shared_ptr<const Context> retain(int ordinal);

  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  int ordinal() const noexcept { return ordinal_; }
  CUcontext handle() const noexcept { return handle_; }

 private:
  struct Private {};

 public:
  // For retain() alone.
  Context(Private, int ordinal) noexcept : ordinal_(ordinal) {}

 private:
  int ordinal_;
  CUdevice device_ = 0;
  CUcontext handle_ = nullptr;
};

// Makes a context current on this thread until the end of the scope; next to free where it is current already.
// Everything in this folder does so by itself; calls made straight to the driver table, or to TensorRT, need one.
class Current {
 public:
  // Throws CudaError.
  explicit Current(const Context& context);
  // For destructors: goes on without when the driver refuses.
  Current(const Context& context, std::nothrow_t) noexcept;
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  CUresult push(const Context& context) noexcept;

  bool pushed_ = false;
};

}  // namespace tensorrt_node::cuda
