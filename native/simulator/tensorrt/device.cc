#include "device.h"

#include <utility>

namespace simulated_tensorrt {

bool hasContext() {
  CUcontext context = nullptr;
  return cuCtxGetCurrent(&context) == CUDA_SUCCESS && context != nullptr;
}

ComputeCapability computeCapability() {
  const ComputeCapability pretended = settings().computeCapability;
  if (pretended != ComputeCapability{}) return pretended;
  CUdevice device = 0;
  ComputeCapability found;
  if (cuCtxGetDevice(&device) != CUDA_SUCCESS) return {};
  cuDeviceGetAttribute(&found.major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  cuDeviceGetAttribute(&found.minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
  return found;
}

DeviceMemory::DeviceMemory(std::size_t bytes) {
  cuCtxGetCurrent(&context_);
  if (cuMemAlloc(&address_, bytes) != CUDA_SUCCESS) return;
  bytes_ = bytes;
}

// From any thread: TensorRT's own runtime makes its context current where there is none.
DeviceMemory::~DeviceMemory() {
  if (address_ == 0) return;
  CUcontext popped = nullptr;
  const bool pushed = !hasContext() && cuCtxPushCurrent(context_) == CUDA_SUCCESS;
  cuMemFree(address_);
  if (pushed) cuCtxPopCurrent(&popped);
}

DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : context_(other.context_), address_(std::exchange(other.address_, 0)), bytes_(std::exchange(other.bytes_, 0)) {}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(context_, other.context_);
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace simulated_tensorrt
