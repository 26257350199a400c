// Device memory of one output, which grows when TensorRT asks for more.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <exception>
#include <optional>

#include "../cuda/device_pool.h"
#include "../cuda/stream.h"
#include "tensor_info.h"

namespace tensorrt_node::tensorrt {

class OutputMemory final : public nvinfer1::IOutputAllocator {
 public:
  OutputMemory(cuda::DevicePool& pool, const cuda::Stream& stream) : pool_(pool), stream_(stream.share()) {}

  // Room for at least so many bytes; never none, as TensorRT wants an address for empty tensors too. Throws CudaError.
  void reserve(std::size_t bytes);
  CUdeviceptr address() const noexcept { return block_.address(); }
  void release() noexcept { block_.reset(); }

  // What TensorRT told of the output since the last start().
  void start() noexcept;
  const std::optional<Shape>& dims() const noexcept { return dims_; }
  // Why the last request was refused; null if it was not.
  std::exception_ptr failure() const noexcept { return failure_; }

  void* reallocateOutputAsync(const char* name, void* memory, std::uint64_t size, std::uint64_t alignment,
                              cudaStream_t stream) noexcept override;
  void notifyShape(const char* name, const nvinfer1::Dims& dims) noexcept override;

 private:
  cuda::DevicePool& pool_;
  const cuda::Stream stream_;
  cuda::DeviceBlock block_;
  std::optional<Shape> dims_;
  std::exception_ptr failure_;
};

}  // namespace tensorrt_node::tensorrt
