#include "device_range.h"

#include "../cuda/error.h"
#include "../cuda/stream.h"

namespace tensorrt_node::weights {

DeviceRange::DeviceRange(const tensorrt::DeviceMemory& memory, std::size_t bytes, std::size_t pieceBytes)
    : memory_(memory) {
  if (cuda::VirtualMemory::supported(*memory_.context)) {
    virtual_.emplace(memory_.context, bytes, pieceBytes);
    map(nullptr);
    return;
  }
  const cuda::Stream home(memory_.context, "weights");
  block_ = memory_.device->allocate(bytes, home);
  // It may have been others' before: that is over on this stream, and then on any.
  home.synchronize();
}

void DeviceRange::map(const std::function<void(std::size_t offset, std::size_t bytes)>& onMapped) {
  for (std::size_t piece = 0; piece < virtual_->pieces(); ++piece) {
    try {
      virtual_->map(piece);
    } catch (const cuda::CudaError& error) {
      // What the pool keeps for others is worth less.
      if (error.result() != CUDA_ERROR_OUT_OF_MEMORY || memory_.device->trim() == 0) throw;
      virtual_->map(piece);
    }
    if (onMapped) onMapped(virtual_->pieceOffset(piece), virtual_->pieceSize(piece));
  }
}

}  // namespace tensorrt_node::weights
