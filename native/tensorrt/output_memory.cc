#include "output_memory.h"

#include <algorithm>

namespace tensorrt_node::tensorrt {

void OutputMemory::reserve(std::size_t bytes) {
  if (block_ && block_.size() >= bytes) return;
  // First, so that the pool can hand the same memory out again.
  block_.reset();
  block_ = pool_.allocate(std::max<std::size_t>(bytes, 1), stream_);
}

void OutputMemory::start() noexcept {
  dims_.reset();
  failure_ = nullptr;
}

void* OutputMemory::reallocateOutputAsync(const char*, void*, std::uint64_t size, std::uint64_t,
                                          cudaStream_t) noexcept {
  // Blocks of the pool are aligned to 512 bytes, which is more than TensorRT asks for.
  try {
    reserve(static_cast<std::size_t>(size));
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(block_.address()));
  } catch (...) {
    failure_ = std::current_exception();
    return nullptr;
  }
}

void OutputMemory::notifyShape(const char*, const nvinfer1::Dims& dims) noexcept {
  try {
    dims_ = toShape(dims);
  } catch (...) {
    failure_ = std::current_exception();
  }
}

}  // namespace tensorrt_node::tensorrt
