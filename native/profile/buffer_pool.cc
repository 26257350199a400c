#include "buffer_pool.h"

#include <algorithm>
#include <new>

namespace tensorrt_node::profile {

// new[] aligns for any fundamental type.
static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= alignof(std::uint64_t));

std::uint8_t* BufferPool::take() noexcept {
  const std::lock_guard lock(mutex_);
  for (Buffer& each : buffers_) {
    if (each.out) continue;
    each.out = true;
    return each.memory.get();
  }
  if (buffers_.size() >= most_) return nullptr;
  try {
    buffers_.reserve(most_);
    // Not cleared: CUPTI writes before anybody reads.
    buffers_.push_back({std::make_unique_for_overwrite<std::uint8_t[]>(bytes_), true});
    return buffers_.back().memory.get();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void BufferPool::give(std::uint8_t* buffer) noexcept {
  const std::lock_guard lock(mutex_);
  for (Buffer& each : buffers_)
    if (each.memory.get() == buffer) each.out = false;
}

void BufferPool::trim() noexcept {
  const std::lock_guard lock(mutex_);
  std::erase_if(buffers_, [](const Buffer& each) { return !each.out; });
}

std::size_t BufferPool::count() const {
  const std::lock_guard lock(mutex_);
  return buffers_.size();
}

}  // namespace tensorrt_node::profile
