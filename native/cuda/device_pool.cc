#include "device_pool.h"

#include <utility>

#include "driver.h"
#include "size_class.h"

namespace tensorrt_node::cuda {

namespace {

CUresult allocateOnDevice(std::uintptr_t& address, std::size_t bytes) noexcept {
  CUdeviceptr memory = 0;
  const CUresult result = driver().cuMemAlloc(&memory, bytes);
  address = static_cast<std::uintptr_t>(memory);
  return result;
}

void freeOnDevice(std::uintptr_t address) noexcept {
  driver().cuMemFree(address);
}

constexpr MemoryKind deviceMemory{"cuMemAlloc", allocateOnDevice, freeOnDevice, deviceSizeClass};

}  // namespace

DeviceBlock::DeviceBlock(std::shared_ptr<BlockPool> pool, Memory memory, std::size_t size, Use home) noexcept
    : pool_(std::move(pool)), memory_(std::move(memory)), size_(size), home_(std::move(home)) {}

DeviceBlock::DeviceBlock(DeviceBlock&& other) noexcept
    : pool_(std::move(other.pool_)),
      memory_(std::exchange(other.memory_, {})),
      size_(std::exchange(other.size_, 0)),
      home_(std::exchange(other.home_, std::nullopt)) {}

DeviceBlock& DeviceBlock::operator=(DeviceBlock&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(memory_, other.memory_);
  std::swap(size_, other.size_);
  std::swap(home_, other.home_);
  return *this;
}

void DeviceBlock::usedBy(const Stream& stream) {
  // What home did is recorded when the block goes back.
  if (stream == home_->stream) return;
  pool_->addUse(memory_, stream);
}

void DeviceBlock::reset() noexcept {
  if (pool_ == nullptr) return;
  try {
    home_->stream.record(home_->event);
    memory_.uses.push_back(std::move(*home_));
  } catch (...) {
    try {
      home_->stream.synchronize();
    } catch (const CudaError&) {
      // The context is lost, and its work with it: nothing touches the memory any more.
    }
  }
  home_.reset();
  pool_->giveBack(std::exchange(memory_, {}));
  pool_.reset();
  size_ = 0;
}

DevicePool::DevicePool(std::shared_ptr<const Context> context, PoolOptions options)
    : core_(std::make_shared<BlockPool>(std::move(context), deviceMemory, std::move(options))) {}

DevicePool::~DevicePool() {
  if (core_ != nullptr) core_->close();
}

DevicePool& DevicePool::operator=(DevicePool&& other) noexcept {
  std::swap(core_, other.core_);
  return *this;
}

DeviceBlock DevicePool::allocate(std::size_t bytes, const Stream& stream) {
  Use home{stream.share(), core_->spareEvent(stream.context())};
  return DeviceBlock(core_, core_->takeForStream(bytes, stream), bytes, std::move(home));
}

std::size_t deviceSizeClass(std::size_t bytes) noexcept {
  return sizeClass(bytes, 512);
}

}  // namespace tensorrt_node::cuda
