// What a decoder has on the device beside weights: memory that can be given up and taken again at the same address,
// where the driver can do that.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>

#include "../../tensorrt/engine.h"
#include "../../weights/device_range.h"

namespace tensorrt_node::decode {

// For one thread.
class MovableMemory {
 public:
  // Is there from the beginning. Throws CudaError.
  MovableMemory(const tensorrt::DeviceMemory& memory, std::size_t bytes);

  CUdeviceptr address() const noexcept { return range_.address(); }
  // There or not.
  std::size_t size() const noexcept { return range_.size(); }
  // On the device now.
  std::uint64_t bytes() const noexcept { return there_ ? range_.size() : 0; }
  bool movable() const noexcept { return range_.movable(); }

  // With all that it holds. Only where it is movable, and no queued work uses it.
  void give() noexcept;
  // With whatever it holds then. Throws CudaError, and is not there then.
  void take();

 private:
  weights::DeviceRange range_;
  bool there_ = true;
};

}  // namespace tensorrt_node::decode
