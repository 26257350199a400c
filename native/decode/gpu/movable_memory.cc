#include "movable_memory.h"

#include <algorithm>

namespace tensorrt_node::decode {
namespace {

// The driver maps few large pieces sooner than many small ones.
constexpr std::size_t pieceBytes = std::size_t{1} << 30;

}  // namespace

MovableMemory::MovableMemory(const tensorrt::DeviceMemory& memory, std::size_t bytes, const cuda::Stream& home) {
  const std::size_t wanted = std::max<std::size_t>(bytes, 1);
  if (cuda::VirtualMemory::supported(*memory.context)) {
    moving_.emplace(memory.context, wanted, pieceBytes);
    moving_->map();
  } else {
    fixed_ = memory.device->allocate(wanted, home);
  }
}

}  // namespace tensorrt_node::decode
