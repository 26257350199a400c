#include "load_engine.h"

#include <mutex>
#include <utility>

#include "gpu.h"
#include "instance.h"

namespace tensorrt_node::binding {

tensorrt::Libraries openLibraries(const std::vector<std::string>& candidates) {
  tensorrt::Libraries libraries = tensorrt::Libraries::open(candidates);
  static std::once_flag opened;
  std::call_once(opened, Instance::stopAllAtExit);
  return libraries;
}

tensorrt::DeviceMemory memoryOf(int device) {
  const std::shared_ptr<Gpu> gpu = Gpu::open(device);
  return {gpu->context, std::shared_ptr<cuda::PinnedPool>(gpu, &gpu->pinned),
          std::shared_ptr<cuda::DevicePool>(gpu, &gpu->device)};
}

std::shared_ptr<const tensorrt::Engine> loadPlan(const std::vector<std::string>& candidates,
                                                 tensorrt::DeviceMemory memory, std::span<const std::byte> plan,
                                                 const tensorrt::EngineOptions& options) {
  auto engine = tensorrt::Engine::load(openLibraries(candidates), std::move(memory), plan, options);
  // The first one loads plugins, which take themselves apart as well.
  static std::once_flag plugins;
  std::call_once(plugins, Instance::stopAllAtExit);
  return engine;
}

}  // namespace tensorrt_node::binding
