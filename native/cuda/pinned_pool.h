// Host memory that the GPU copies from and to at full speed, kept for reuse: pinning costs about a millisecond.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "block_pool.h"

namespace tensorrt_node::cuda {

// A piece of pinned memory; goes back to its pool when destroyed, from any thread, also after the pool is gone.
// One thread at a time may use a block.
class PinnedBlock {
 public:
  PinnedBlock() noexcept = default;
  ~PinnedBlock() { reset(); }
  PinnedBlock(PinnedBlock&& other) noexcept;
  PinnedBlock& operator=(PinnedBlock&& other) noexcept;

  std::byte* data() const noexcept;
  // Bytes that were asked for.
  std::size_t size() const noexcept { return size_; }
  std::span<std::byte> bytes() const noexcept { return {data(), size_}; }
  explicit operator bool() const noexcept { return pool_ != nullptr; }

  // The work queued on `stream` so far touches the block: it is not handed out again before that is done.
  // The functions of copy.h call it. Throws CudaError, having waited for the work.
  void usedBy(const Stream& stream);
  // Gives the block back now.
  void reset() noexcept;

 private:
  friend class PinnedPool;
  PinnedBlock(std::shared_ptr<BlockPool> pool, Memory memory, std::size_t size) noexcept;

  std::shared_ptr<BlockPool> pool_;
  Memory memory_;
  std::size_t size_ = 0;
};

// Safe from any thread.
class PinnedPool {
 public:
  explicit PinnedPool(std::shared_ptr<const Context> context, PoolOptions options = {.name = "pinned"});
  // Blocks that are out stay good.
  ~PinnedPool();
  PinnedPool(PinnedPool&&) noexcept = default;
  PinnedPool& operator=(PinnedPool&& other) noexcept;

  // The memory's contents are whatever they were. Where the limit is reached, waits for copies in flight. Throws
  // CudaError, CUDA_ERROR_OUT_OF_MEMORY when limit or machine have no more.
  PinnedBlock allocate(std::size_t bytes);
  // Unpins idle blocks, largest first, until at most `keepBytes` idle bytes are left; returns the bytes freed. Those
  // with work in flight stay.
  std::size_t trim(std::size_t keepBytes = 0) noexcept { return core_->trim(keepBytes); }
  PoolStats stats() const { return core_->stats(); }

 private:
  std::shared_ptr<BlockPool> core_;
};

// What a request is rounded up to: 4 KiB at least, then four steps to each power of two, so at most a quarter is lost.
std::size_t pinnedSizeClass(std::size_t bytes) noexcept;

}  // namespace tensorrt_node::cuda
