// Device memory in the order of streams: a freed block is reused at once, and events keep the order.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "block_pool.h"

namespace tensorrt_node::cuda {

// A piece of device memory for work on its home stream. Destroyed, it goes back to the pool behind the work queued on
// the home stream until then; the host does not wait. One thread at a time may use a block.
class DeviceBlock {
 public:
  DeviceBlock() noexcept = default;
  ~DeviceBlock() { reset(); }
  DeviceBlock(DeviceBlock&& other) noexcept;
  DeviceBlock& operator=(DeviceBlock&& other) noexcept;

  CUdeviceptr address() const noexcept { return memory_.address; }
  // Bytes that were asked for.
  std::size_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return pool_ != nullptr; }

  // The work queued on `stream` so far touches the block; needed for streams other than home, which first had to wait
  // for an event of home. The functions of copy.h call it. Throws CudaError, having waited for the work.
  void usedBy(const Stream& stream);
  // Gives the block back now.
  void reset() noexcept;

 private:
  friend class DevicePool;
  DeviceBlock(std::shared_ptr<BlockPool> pool, Memory memory, std::size_t size, Use home) noexcept;

  std::shared_ptr<BlockPool> pool_;
  Memory memory_;
  std::size_t size_ = 0;
  // The event is made with the block, so that giving back needs nothing that may run out.
  std::optional<Use> home_;
};

// Safe from any thread.
class DevicePool {
 public:
  explicit DevicePool(std::shared_ptr<const Context> context, PoolOptions options = {.name = "device"});
  // Blocks that are out stay good.
  ~DevicePool();
  DevicePool(DevicePool&&) noexcept = default;
  DevicePool& operator=(DevicePool&& other) noexcept;

  // For work on `stream`, of the same device, which waits for what other streams still do with it. Throws CudaError,
  // CUDA_ERROR_OUT_OF_MEMORY when limit or card have no more even after idle blocks went back to the driver.
  DeviceBlock allocate(std::size_t bytes, const Stream& stream);
  // Gives idle blocks whose work is done back to the driver, largest first, until at most `keepBytes` idle bytes are
  // left; returns the bytes freed. Not for hot paths: the driver may stop the device for it.
  std::size_t trim(std::size_t keepBytes = 0) noexcept { return core_->trim(keepBytes); }
  PoolStats stats() const { return core_->stats(); }

 private:
  std::shared_ptr<BlockPool> core_;
};

// What a request is rounded up to: 512 bytes at least, then four steps to each power of two.
std::size_t deviceSizeClass(std::size_t bytes) noexcept;

}  // namespace tensorrt_node::cuda
