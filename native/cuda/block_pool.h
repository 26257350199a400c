// What the pinned and the device pool have in common: size classes, idle memory with the GPU work that still touches
// it, limits and figures. Shared by a pool and its blocks, so that a block may outlive its pool.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "event.h"
#include "stream.h"

namespace tensorrt_node::cuda {

struct PoolOptions {
  // What errors call the pool.
  std::string name;
  // Memory taken from the driver, idle and in use together.
  std::size_t limitBytes = std::numeric_limits<std::size_t>::max();
};

struct PoolStats {
  // Taken from the driver.
  std::size_t reservedBytes = 0;
  // Of that, in blocks that are out.
  std::size_t usedBytes = 0;
  // The most that was ever out at once.
  std::size_t highWaterBytes = 0;
  std::size_t usedBlocks = 0;
  std::size_t idleBlocks = 0;
  // Blocks that came from the driver, and blocks that came from the idle ones.
  std::uint64_t allocations = 0;
  std::uint64_t reuses = 0;
};

// GPU work that touches some memory: up to the event, on the stream.
struct Use {
  Stream stream;
  Event event;
};

// Memory from the driver, with the work that still touches it. Who holds it owes it to the pool.
struct Memory {
  std::uintptr_t address = 0;
  // Bytes.
  std::size_t capacity = 0;
  std::vector<Use> uses;
};

// Where a pool's memory comes from. The functions are called with the pool's context current.
struct MemoryKind {
  // The driver call behind allocate(), for errors.
  const char* call;
  CUresult (*allocate)(std::uintptr_t& address, std::size_t bytes) noexcept;
  void (*release)(std::uintptr_t address) noexcept;
  std::size_t (*sizeClass)(std::size_t bytes) noexcept;
};

class BlockPool {
 public:
  BlockPool(std::shared_ptr<const Context> context, const MemoryKind& kind, PoolOptions options);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // For the host: memory that no GPU work touches any more. Waits for some only when the limit leaves no other way.
  Memory takeForHost(std::size_t bytes);
  // For a stream: other streams' work on the memory is waited for by the stream, its own needs no wait. A stream of
  // another device: std::invalid_argument.
  Memory takeForStream(std::size_t bytes, const Stream& stream);
  void giveBack(Memory memory) noexcept;

  // The work queued on `stream`, of any device, so far touches the memory. If that cannot be recorded, waits for it and
  // throws.
  void addUse(Memory& memory, const Stream& stream);
  // An event for streams of `context`: only they can record it.
  Event spareEvent(const std::shared_ptr<const Context>& context);

  std::size_t trim(std::size_t keepBytes) noexcept;
  PoolStats stats() const;
  // No more reuse: idle memory is freed now, the rest as it comes back.
  void close() noexcept;

 private:
  Memory take(std::size_t bytes, const Stream* stream);
  Memory allocate(std::size_t capacity);
  bool takeIdle(std::size_t capacity, const Stream* stream, Memory& found);
  bool reserve(std::size_t capacity) noexcept;
  void unreserve(std::size_t capacity) noexcept;
  bool makeRoom(std::size_t capacity);
  std::size_t freeIdle(std::size_t bytes) noexcept;
  void free(Memory memory) noexcept;
  void arrived() noexcept;

  // With the lock held.
  // Takes the memory, leaving none, unless the pool is closed.
  void keepIdle(Memory& memory) noexcept;
  void markUsed(std::size_t capacity, std::uint64_t& counter) noexcept;
  void dropPassedUses(Memory& memory);
  void keepEvent(Event event);
  void clearUses(Memory& memory) noexcept;

  const std::shared_ptr<const Context> context_;
  const MemoryKind kind_;
  const PoolOptions options_;

  mutable std::mutex mutex_;
  // By capacity; in each the one longest idle first.
  std::map<std::size_t, std::deque<Memory>> idle_;
  // Of the pool's context.
  std::vector<Event> spareEvents_;
  PoolStats stats_;
  // Memory on its way from idle_ back to the driver, which other threads may wait for.
  std::size_t inTransit_ = 0;
  std::condition_variable settled_;
  bool closed_ = false;
};

}  // namespace tensorrt_node::cuda
