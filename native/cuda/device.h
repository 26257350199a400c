// What GPUs and which driver are there.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "context.h"

namespace tensorrt_node::cuda {

struct DriverVersion {
  // Newest CUDA that the driver serves: 13000 is 13.0.
  int api = 0;
  // The kernel module's version, "580.95.05"; nothing where it cannot be read.
  std::optional<std::string> kernel;
};

struct DeviceInfo {
  int ordinal = 0;
  std::string name;
  // Compute capability: 9 and 0 for sm_90.
  int computeMajor = 0;
  int computeMinor = 0;
  int multiprocessors = 0;
  std::size_t totalBytes = 0;
  // "0000:3B:00.0".
  std::string pciBusId;
};

struct MemoryInfo {
  std::size_t freeBytes = 0;
  std::size_t totalBytes = 0;
};

// These need load() to have succeeded, and throw CudaError.
DriverVersion driverVersion();
std::vector<DeviceInfo> devices();
// Memory of the whole card, other processes included.
MemoryInfo memory(const Context& context);

}  // namespace tensorrt_node::cuda
