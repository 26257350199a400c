#include "pinned_pool.h"

#include <utility>

#include "driver.h"
#include "size_class.h"

namespace tensorrt_node::cuda {

namespace {

void* pointer(std::uintptr_t address) noexcept {
  return reinterpret_cast<void*>(address);
}

CUresult allocatePinned(std::uintptr_t& address, std::size_t bytes) noexcept {
  void* memory = nullptr;
  // Portable: a copy on any device's streams finds it pinned.
  const CUresult result = driver().cuMemHostAlloc(&memory, bytes, CU_MEMHOSTALLOC_PORTABLE);
  address = reinterpret_cast<std::uintptr_t>(memory);
  return result;
}

void freePinned(std::uintptr_t address) noexcept {
  driver().cuMemFreeHost(pointer(address));
}

constexpr MemoryKind pinnedMemory{"cuMemHostAlloc", allocatePinned, freePinned, pinnedSizeClass};

}  // namespace

PinnedBlock::PinnedBlock(std::shared_ptr<BlockPool> pool, Memory memory, std::size_t size) noexcept
    : pool_(std::move(pool)), memory_(std::move(memory)), size_(size) {}

PinnedBlock::PinnedBlock(PinnedBlock&& other) noexcept
    : pool_(std::move(other.pool_)), memory_(std::exchange(other.memory_, {})), size_(std::exchange(other.size_, 0)) {}

PinnedBlock& PinnedBlock::operator=(PinnedBlock&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(memory_, other.memory_);
  std::swap(size_, other.size_);
  return *this;
}

std::byte* PinnedBlock::data() const noexcept {
  return static_cast<std::byte*>(pointer(memory_.address));
}

void PinnedBlock::usedBy(const Stream& stream) {
  pool_->addUse(memory_, stream);
}

void PinnedBlock::reset() noexcept {
  if (pool_ == nullptr) return;
  pool_->giveBack(std::exchange(memory_, {}));
  pool_.reset();
  size_ = 0;
}

PinnedPool::PinnedPool(std::shared_ptr<const Context> context, PoolOptions options)
    : core_(std::make_shared<BlockPool>(std::move(context), pinnedMemory, std::move(options))) {}

PinnedPool::~PinnedPool() {
  if (core_ != nullptr) core_->close();
}

PinnedPool& PinnedPool::operator=(PinnedPool&& other) noexcept {
  std::swap(core_, other.core_);
  return *this;
}

PinnedBlock PinnedPool::allocate(std::size_t bytes) {
  PinnedBlock block(core_, core_->takeForHost(bytes), bytes);
  // From here on the host may write to it.
  noteHostAccess(block.data(), block.memory_.capacity, true);
  return block;
}

std::size_t pinnedSizeClass(std::size_t bytes) noexcept {
  return sizeClass(bytes, 4096);
}

}  // namespace tensorrt_node::cuda
