#include "nvml.h"

#include <dlfcn.h>

#include <array>
#include <utility>

namespace tensorrt_node::cuda {

namespace {

// nvml.h is not among the headers that a build has.
using Device = struct nvmlDevice*;
constexpr int success = 0;
constexpr int pcieSent = 0;
constexpr int pcieReceived = 1;
// Of nvmlDeviceGetPcieThroughput.
constexpr std::uint64_t bytesPerUnit = 1024;

struct MemoryInfo {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

template <typename Function>
void find(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
}

}  // namespace

struct Nvml::Functions {
  void* library = nullptr;
  int (*initialise)() = nullptr;
  int (*shutDown)() = nullptr;
  int (*driverVersion)(char*, unsigned) = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*handle)(unsigned, Device*) = nullptr;
  int (*name)(Device, char*, unsigned) = nullptr;
  int (*computeCapability)(Device, int*, int*) = nullptr;
  int (*mode)(Device, unsigned*, unsigned*) = nullptr;
  int (*handleByBus)(const char*, Device*) = nullptr;
  int (*memory)(Device, MemoryInfo*) = nullptr;
  int (*pcieThroughput)(Device, int, unsigned*) = nullptr;
  bool started = false;

  bool complete() const noexcept {
    return initialise != nullptr && shutDown != nullptr && driverVersion != nullptr && count != nullptr &&
           handle != nullptr && name != nullptr && computeCapability != nullptr;
  }

  // Null where there is none.
  Device at(const std::string& pciBusId) const noexcept {
    Device device = nullptr;
    if (handleByBus == nullptr || handleByBus(pciBusId.c_str(), &device) != success) return nullptr;
    return device;
  }
};

void Nvml::ShutDown::operator()(Functions* functions) const noexcept {
  const std::unique_ptr<Functions> owner(functions);
  if (owner->started) owner->shutDown();
  if (owner->library != nullptr) dlclose(owner->library);
}

std::optional<Nvml> Nvml::open(const std::string& path) {
  std::unique_ptr<Functions, ShutDown> functions(std::make_unique<Functions>().release());
  void* library = functions->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return std::nullopt;
  find(library, "nvmlInit_v2", functions->initialise);
  find(library, "nvmlShutdown", functions->shutDown);
  find(library, "nvmlSystemGetDriverVersion", functions->driverVersion);
  find(library, "nvmlDeviceGetCount_v2", functions->count);
  find(library, "nvmlDeviceGetHandleByIndex_v2", functions->handle);
  find(library, "nvmlDeviceGetName", functions->name);
  find(library, "nvmlDeviceGetCudaComputeCapability", functions->computeCapability);
  find(library, "nvmlDeviceGetMigMode", functions->mode);
  find(library, "nvmlDeviceGetHandleByPciBusId_v2", functions->handleByBus);
  find(library, "nvmlDeviceGetMemoryInfo", functions->memory);
  find(library, "nvmlDeviceGetPcieThroughput", functions->pcieThroughput);
  if (!functions->complete() || functions->initialise() != success) return std::nullopt;
  functions->started = true;
  return Nvml(std::move(functions));
}

std::optional<std::string> Nvml::driverVersion() const {
  std::array<char, 96> text{};
  if (functions_->driverVersion(text.data(), text.size() - 1) != success) return std::nullopt;
  return text.data();
}

std::optional<std::vector<GpuModel>> Nvml::gpus() const {
  unsigned count = 0;
  if (functions_->count(&count) != success) return std::nullopt;
  std::vector<GpuModel> found;
  for (unsigned index = 0; index < count; ++index) {
    GpuModel gpu;
    Device device = nullptr;
    std::array<char, 96> text{};
    if (functions_->handle(index, &device) != success ||
        functions_->name(device, text.data(), text.size() - 1) != success ||
        functions_->computeCapability(device, &gpu.computeMajor, &gpu.computeMinor) != success) {
      return std::nullopt;
    }
    gpu.name = text.data();
    unsigned current = 0;
    unsigned pending = 0;
    // Cards that have no such mode say so by an error.
    gpu.divided =
        functions_->mode != nullptr && functions_->mode(device, &current, &pending) == success && current != 0;
    found.push_back(std::move(gpu));
  }
  return found;
}

std::optional<CardMemory> Nvml::memory(const std::string& pciBusId) const {
  const Device device = functions_->at(pciBusId);
  MemoryInfo info{};
  if (device == nullptr || functions_->memory == nullptr || functions_->memory(device, &info) != success)
    return std::nullopt;
  return CardMemory{info.total, info.used, info.free};
}

std::optional<PcieTraffic> Nvml::pcieTraffic(const std::string& pciBusId) const {
  const Device device = functions_->at(pciBusId);
  unsigned sent = 0;
  unsigned received = 0;
  if (device == nullptr || functions_->pcieThroughput == nullptr ||
      functions_->pcieThroughput(device, pcieSent, &sent) != success ||
      functions_->pcieThroughput(device, pcieReceived, &received) != success) {
    return std::nullopt;
  }
  return PcieTraffic{received * bytesPerUnit, sent * bytesPerUnit};
}

}  // namespace tensorrt_node::cuda
