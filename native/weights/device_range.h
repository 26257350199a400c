// VRAM of a model: one range of addresses, whose memory can be given back where the driver allows that.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <functional>
#include <optional>

#include "../cuda/device_pool.h"
#include "../cuda/virtual_memory.h"
#include "../tensorrt/engine.h"

namespace tensorrt_node::weights {

// For one thread at a time.
class DeviceRange {
 public:
  // Mapped, in pieces of `pieceBytes`. Throws CudaError, CUDA_ERROR_OUT_OF_MEMORY when the card has no more.
  DeviceRange(const tensorrt::DeviceMemory& memory, std::size_t bytes, std::size_t pieceBytes);

  CUdeviceptr address() const noexcept { return virtual_ ? virtual_->address() : block_.address(); }
  // Mapped or not; rounded up to what the driver maps at once.
  std::size_t size() const noexcept { return virtual_ ? virtual_->size() : block_.size(); }
  bool movable() const noexcept { return virtual_.has_value(); }

  // Only where movable. No queued work may use it any more.
  void unmap() noexcept { virtual_->unmap(); }
  // Maps piece after piece, and tells of each: `bytes` at `offset` can be used now. Throws CudaError, and what
  // `onMapped` throws; pieces stay mapped then.
  void map(const std::function<void(std::size_t offset, std::size_t bytes)>& onMapped);

 private:
  const tensorrt::DeviceMemory memory_;
  std::optional<cuda::VirtualMemory> virtual_;
  // Where the driver has no virtual memory.
  cuda::DeviceBlock block_;
};

}  // namespace tensorrt_node::weights
