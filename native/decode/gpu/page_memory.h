// The memory of all layers' pages of keys and values, which can be given up but for some of them.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "../../cuda/pinned_pool.h"
#include "../../cuda/stream.h"
#include "../../tensorrt/engine.h"
#include "../page_pool.h"
#include "movable_memory.h"

namespace tensorrt_node::decode {

struct PageShape {
  std::int32_t layers;
  std::int32_t pages;
  // Of a page's keys, or its values, in one layer.
  std::size_t pageBytes;
};

// For one thread; all work is on one stream. All but the accessors throw CudaError.
class PageMemory {
 public:
  PageMemory(const tensorrt::DeviceMemory& memory, const PageShape& shape, const cuda::Stream& stream);

  // Of a layer's keys (side 0) or values (side 1): pages one after another.
  CUdeviceptr address(std::int32_t layer, std::int32_t side) const noexcept;
  // Queues it, in all layers.
  void copy(Page from, Page to);

  bool movable() const noexcept { return memory_.movable(); }
  // Queues copies of pages to pinned memory, in place of those saved before. False where there is too little of that.
  bool save(std::span<const Page> pages);
  // What was saved is not wanted.
  void forget() noexcept;
  // No queued work may use the pages.
  void give() noexcept { memory_.give(); }
  // Without what was in them.
  void take() { memory_.take(); }
  // Queues copies back, of what is forgotten with that.
  void restore();

  std::uint64_t bytes() const noexcept { return memory_.bytes(); }
  std::uint64_t savedBytes() const noexcept;

 private:
  // Pages of consecutive numbers.
  struct Range {
    Page first;
    std::int32_t count;
  };
  std::size_t sides() const noexcept { return 2 * static_cast<std::size_t>(shape_.layers); }
  CUdeviceptr sideAddress(std::size_t side) const noexcept;
  // Calls `copy` with each range's address, its place in the side's block, and bytes.
  template <typename Copy>
  void forEachRange(std::size_t side, Copy copy) const;

  const tensorrt::DeviceMemory pools_;
  const PageShape shape_;
  const cuda::Stream stream_;
  MovableMemory memory_;
  std::vector<Range> savedRanges_;
  // Of each side.
  std::vector<cuda::PinnedBlock> saved_;
};

}  // namespace tensorrt_node::decode
