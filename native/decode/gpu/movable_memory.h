// A piece of device memory that can be given up and taken again at the same address, where the driver can do that.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "../../cuda/device_pool.h"
#include "../../cuda/stream.h"
#include "../../cuda/virtual_memory.h"
#include "../../tensorrt/engine.h"

namespace tensorrt_node::decode {

// For work on one stream. No queued work may use it when it goes.
class MovableMemory {
 public:
  // Is there from the beginning. Throws CudaError.
  MovableMemory(const tensorrt::DeviceMemory& memory, std::size_t bytes, const cuda::Stream& home);

  CUdeviceptr address() const noexcept { return moving_ ? moving_->address() : fixed_.address(); }
  bool movable() const noexcept { return moving_.has_value(); }
  // On the device now.
  std::uint64_t bytes() const noexcept { return moving_ ? moving_->mappedBytes() : fixed_.size(); }

  // With all that it holds. Only where it is movable, and no queued work uses it.
  void give() noexcept { moving_->unmap(); }
  // With whatever it holds then. Throws CudaError, and is not there then.
  void take() { moving_->map(); }

 private:
  std::optional<cuda::VirtualMemory> moving_;
  cuda::DeviceBlock fixed_;
};

}  // namespace tensorrt_node::decode
