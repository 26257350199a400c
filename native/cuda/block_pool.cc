#include "block_pool.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "driver.h"

namespace tensorrt_node::cuda {

namespace {

// If even this fails the context is lost, and its work with it.
void synchronizeAnyway(const Stream& stream) noexcept {
  try {
    stream.synchronize();
  } catch (const CudaError&) {
    return;
  }
}

// Blocks until the work on the memory is done, whatever fails.
void settle(const Memory& memory) noexcept {
  for (const Use& use : memory.uses) {
    try {
      use.event.wait();
    } catch (const CudaError&) {
      synchronizeAnyway(use.stream);
    }
  }
}

bool usedOnlyBy(const Stream& stream, const Memory& memory) noexcept {
  return std::all_of(memory.uses.begin(), memory.uses.end(), [&](const Use& use) { return use.stream == stream; });
}

}  // namespace

BlockPool::BlockPool(std::shared_ptr<const Context> context, const MemoryKind& kind, PoolOptions options)
    : context_(std::move(context)), kind_(kind), options_(std::move(options)) {}

BlockPool::~BlockPool() {
  close();
}

Memory BlockPool::takeForHost(std::size_t bytes) {
  return take(bytes, nullptr);
}

Memory BlockPool::takeForStream(std::size_t bytes, const Stream& stream) {
  if (stream.context()->handle() != context_->handle())
    throw std::invalid_argument("stream '" + stream.name() + "' is of GPU " +
                                std::to_string(stream.context()->ordinal()) + ", the memory of GPU " +
                                std::to_string(context_->ordinal()));
  Memory memory = take(bytes, &stream);
  try {
    for (const Use& use : memory.uses)
      if (!(use.stream == stream)) stream.wait(use.event);
  } catch (...) {
    giveBack(std::move(memory));
    throw;
  }
  // The stream is now behind all of them, and so is what it records when the block comes back.
  const std::lock_guard lock(mutex_);
  clearUses(memory);
  return memory;
}

void BlockPool::giveBack(Memory memory) noexcept {
  {
    const std::lock_guard lock(mutex_);
    stats_.usedBytes -= memory.capacity;
    --stats_.usedBlocks;
    keepIdle(memory);
  }
  if (memory.address != 0) free(std::move(memory));
}

void BlockPool::addUse(Memory& memory, const Stream& stream) {
  try {
    auto use =
        std::find_if(memory.uses.begin(), memory.uses.end(), [&](const Use& each) { return each.stream == stream; });
    if (use == memory.uses.end()) use = memory.uses.insert(use, Use{stream.share(), spareEvent(stream.context())});
    stream.record(use->event);
  } catch (...) {
    synchronizeAnyway(stream);
    throw;
  }
}

Event BlockPool::spareEvent(const std::shared_ptr<const Context>& context) {
  if (context->handle() == context_->handle()) {
    const std::lock_guard lock(mutex_);
    if (!spareEvents_.empty()) {
      Event event = std::move(spareEvents_.back());
      spareEvents_.pop_back();
      return event;
    }
  }
  return Event(context);
}

std::size_t BlockPool::trim(std::size_t keepBytes) noexcept {
  std::size_t idleBytes = 0;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [capacity, blocks] : idle_) idleBytes += capacity * blocks.size();
  }
  return idleBytes > keepBytes ? freeIdle(idleBytes - keepBytes) : 0;
}

PoolStats BlockPool::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void BlockPool::close() noexcept {
  std::map<std::size_t, std::deque<Memory>> idle;
  std::vector<Event> events;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    idle.swap(idle_);
    events.swap(spareEvents_);
    stats_.idleBlocks = 0;
  }
  for (auto& [capacity, blocks] : idle)
    for (Memory& memory : blocks) free(std::move(memory));
}

Memory BlockPool::take(std::size_t bytes, const Stream* stream) {
  const std::size_t capacity = kind_.sizeClass(bytes);
  for (;;) {
    Memory memory;
    if (takeIdle(capacity, stream, memory)) return memory;
    if (reserve(capacity)) memory = allocate(capacity);
    if (memory.address != 0) return memory;
    if (!makeRoom(capacity)) {
      std::string detail = options_.name + " pool, " + std::to_string(bytes) + " bytes with " +
                           std::to_string(stats().usedBytes) + " in use";
      if (options_.limitBytes != std::numeric_limits<std::size_t>::max())
        detail += " and a limit of " + std::to_string(options_.limitBytes);
      fail(CUDA_ERROR_OUT_OF_MEMORY, kind_.call, detail);
    }
  }
}

// New memory from the driver, already reserved; none (address 0) when the driver has no more.
Memory BlockPool::allocate(std::size_t capacity) {
  Memory memory;
  memory.capacity = capacity;
  try {
    const Current current(*context_);
    const CUresult result = kind_.allocate(memory.address, capacity);
    if (result != CUDA_ERROR_OUT_OF_MEMORY)
      check(result, kind_.call, options_.name + " pool, " + std::to_string(capacity) + " bytes");
  } catch (...) {
    unreserve(capacity);
    throw;
  }
  if (memory.address == 0) {
    unreserve(capacity);
    return memory;
  }
  const std::lock_guard lock(mutex_);
  markUsed(capacity, stats_.allocations);
  return memory;
}

bool BlockPool::takeIdle(std::size_t capacity, const Stream* stream, Memory& found) {
  const std::lock_guard lock(mutex_);
  const auto list = idle_.find(capacity);
  if (list == idle_.end()) return false;
  auto& blocks = list->second;
  auto pick = std::find_if(blocks.begin(), blocks.end(), [&](Memory& memory) {
    dropPassedUses(memory);
    return memory.uses.empty() || (stream != nullptr && usedOnlyBy(*stream, memory));
  });
  // A stream can wait without the host: better than more memory.
  if (pick == blocks.end() && stream != nullptr) pick = blocks.begin();
  if (pick == blocks.end()) return false;
  found = std::move(*pick);
  blocks.erase(pick);
  if (blocks.empty()) idle_.erase(list);
  --stats_.idleBlocks;
  markUsed(capacity, stats_.reuses);
  return true;
}

// Counted before the slow call to the driver, so that threads together stay below the limit.
bool BlockPool::reserve(std::size_t capacity) noexcept {
  const std::lock_guard lock(mutex_);
  if (capacity > options_.limitBytes || stats_.reservedBytes > options_.limitBytes - capacity) return false;
  stats_.reservedBytes += capacity;
  return true;
}

void BlockPool::unreserve(std::size_t capacity) noexcept {
  const std::lock_guard lock(mutex_);
  stats_.reservedBytes -= capacity;
}

// Frees idle memory, first what no work touches, else waiting for the work; false when there is none.
bool BlockPool::makeRoom(std::size_t capacity) {
  if (freeIdle(capacity) > 0) return true;
  std::unique_lock lock(mutex_);
  if (idle_.empty()) {
    if (inTransit_ == 0) return false;
    settled_.wait(lock);
    return true;
  }
  auto list = idle_.find(capacity);
  if (list == idle_.end()) list = std::prev(idle_.end());
  Memory memory = std::move(list->second.front());
  list->second.pop_front();
  if (list->second.empty()) idle_.erase(list);
  --stats_.idleBlocks;
  ++inTransit_;
  lock.unlock();

  if (memory.capacity == capacity) {
    settle(memory);
    lock.lock();
    clearUses(memory);
    keepIdle(memory);
    lock.unlock();
  }
  // Of another class, or not kept.
  if (memory.address != 0) free(std::move(memory));
  arrived();
  return true;
}

void BlockPool::arrived() noexcept {
  {
    const std::lock_guard lock(mutex_);
    --inTransit_;
  }
  settled_.notify_all();
}

// Frees idle blocks whose work is done, largest first, until `bytes` are freed; returns the bytes freed.
std::size_t BlockPool::freeIdle(std::size_t bytes) noexcept {
  std::size_t freed = 0;
  while (freed < bytes) {
    Memory memory;
    {
      const std::lock_guard lock(mutex_);
      for (auto list = idle_.rbegin(); list != idle_.rend() && memory.address == 0; ++list) {
        auto& blocks = list->second;
        const auto done = std::find_if(blocks.begin(), blocks.end(), [&](Memory& each) {
          try {
            dropPassedUses(each);
          } catch (const CudaError&) {
            // Not known to be done: left alone.
            return false;
          }
          return each.uses.empty();
        });
        if (done == blocks.end()) continue;
        memory = std::move(*done);
        blocks.erase(done);
        --stats_.idleBlocks;
        ++inTransit_;
      }
      if (memory.address != 0 && idle_[memory.capacity].empty()) idle_.erase(memory.capacity);
    }
    if (memory.address == 0) break;
    freed += memory.capacity;
    free(std::move(memory));
    arrived();
  }
  return freed;
}

void BlockPool::free(Memory memory) noexcept {
  settle(memory);
  {
    const Current current(*context_, std::nothrow);
    kind_.release(memory.address);
  }
  const std::lock_guard lock(mutex_);
  stats_.reservedBytes -= memory.capacity;
  clearUses(memory);
}

void BlockPool::keepIdle(Memory& memory) noexcept {
  if (closed_) return;
  try {
    idle_[memory.capacity].push_back(std::move(memory));
  } catch (const std::bad_alloc&) {
    // No room to remember it: it goes back to the driver instead. No list in idle_ may be empty.
    const auto list = idle_.find(memory.capacity);
    if (list != idle_.end() && list->second.empty()) idle_.erase(list);
    return;
  }
  memory = {};
  ++stats_.idleBlocks;
}

void BlockPool::markUsed(std::size_t capacity, std::uint64_t& counter) noexcept {
  stats_.usedBytes += capacity;
  stats_.highWaterBytes = std::max(stats_.highWaterBytes, stats_.usedBytes);
  ++stats_.usedBlocks;
  ++counter;
}

// One at a time, not with erase_if: asking may throw, and must leave whole what is left.
void BlockPool::dropPassedUses(Memory& memory) {
  for (auto use = memory.uses.begin(); use != memory.uses.end();) {
    if (use->event.passed()) {
      keepEvent(std::move(use->event));
      use = memory.uses.erase(use);
    } else {
      ++use;
    }
  }
}

void BlockPool::keepEvent(Event event) {
  if (event.context()->handle() == context_->handle()) spareEvents_.push_back(std::move(event));
}

void BlockPool::clearUses(Memory& memory) noexcept {
  try {
    for (Use& use : memory.uses) keepEvent(std::move(use.event));
  } catch (const std::bad_alloc&) {
    // The rest are destroyed instead of kept.
  }
  memory.uses.clear();
}

}  // namespace tensorrt_node::cuda
