#include "movable_memory.h"

#include <algorithm>

namespace tensorrt_node::decode {
namespace {

// The driver maps few large pieces sooner than many small ones.
constexpr std::size_t pieceBytes = std::size_t{1} << 30;

}  // namespace

MovableMemory::MovableMemory(const tensorrt::DeviceMemory& memory, std::size_t bytes)
    : range_(memory, std::max<std::size_t>(bytes, 1), pieceBytes) {}

void MovableMemory::give() noexcept {
  range_.unmap();
  there_ = false;
}

void MovableMemory::take() {
  try {
    range_.map(nullptr);
  } catch (...) {
    range_.unmap();
    throw;
  }
  there_ = true;
}

}  // namespace tensorrt_node::decode
