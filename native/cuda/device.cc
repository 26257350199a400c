#include "device.h"

#include <array>

#include "driver.h"
#include "nvml.h"
#include "version_file.h"

namespace tensorrt_node::cuda {

namespace {

int attribute(CUdevice_attribute which, CUdevice device) {
  int value = 0;
  check(driver().cuDeviceGetAttribute(&value, which, device), "cuDeviceGetAttribute");
  return value;
}

DeviceInfo describe(int ordinal) {
  DeviceInfo info;
  info.ordinal = ordinal;
  CUdevice device = 0;
  check(driver().cuDeviceGet(&device, ordinal), "cuDeviceGet");
  std::array<char, 256> text{};
  check(driver().cuDeviceGetName(text.data(), static_cast<int>(text.size()), device), "cuDeviceGetName");
  info.name = text.data();
  check(driver().cuDeviceGetPCIBusId(text.data(), static_cast<int>(text.size()), device), "cuDeviceGetPCIBusId");
  info.pciBusId = text.data();
  check(driver().cuDeviceTotalMem(&info.totalBytes, device), "cuDeviceTotalMem");
  info.computeMajor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  info.computeMinor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
  info.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device);
  return info;
}

}  // namespace

DriverVersion driverVersion() {
  DriverVersion version;
  check(driver().cuDriverGetVersion(&version.api), "cuDriverGetVersion");
  version.kernel = versionInFile("/proc/driver/nvidia/version");
  if (!version.kernel) version.kernel = versionInFile("/sys/module/nvidia/version");
  // Last, as it takes a while to start.
  if (!version.kernel) {
    if (const auto nvml = Nvml::open()) version.kernel = nvml->driverVersion();
  }
  return version;
}

std::vector<DeviceInfo> devices() {
  int count = 0;
  check(driver().cuDeviceGetCount(&count), "cuDeviceGetCount");
  std::vector<DeviceInfo> found;
  for (int ordinal = 0; ordinal < count; ++ordinal) found.push_back(describe(ordinal));
  return found;
}

MemoryInfo memory(const Context& context) {
  const Current current(context);
  MemoryInfo info;
  check(driver().cuMemGetInfo(&info.freeBytes, &info.totalBytes), "cuMemGetInfo");
  return info;
}

}  // namespace tensorrt_node::cuda
