// The GPU that TensorRT believes to run on, through the simulated driver.
#pragma once

#include <cuda.h>

#include <cstddef>

#include "settings.h"

namespace simulated_tensorrt {

// False when no context is current, which TensorRT's CUDA errors are about.
bool hasContext();
// As the settings say, or the driver. 0.0 without a context.
ComputeCapability computeCapability();

// Device memory of the current context; null when there is none to be had.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(std::size_t bytes);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;

  CUdeviceptr address() const noexcept { return address_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  CUcontext context_ = nullptr;
  CUdeviceptr address_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace simulated_tensorrt
