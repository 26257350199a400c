// Memory of GPUs, read on a thread: the management library takes its time.
#include "gpu_memory.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../cuda/device.h"
#include "../cuda/nvml.h"
#include "errors.h"
#include "gpu.h"
#include "instance.h"

namespace tensorrt_node::binding {
namespace {

struct Asked {
  int ordinal = 0;
  std::string pciBusId;
};

struct Told {
  int ordinal = 0;
  cuda::CardMemory memory;
  std::optional<cuda::PcieTraffic> traffic;
  std::optional<cuda::PoolStats> pinned;
  std::optional<cuda::PoolStats> device;
};

// CUDA knows best what its next allocation gets, but asking it makes a context, which takes memory itself.
std::optional<cuda::CardMemory> memoryOf(const Asked& gpu, const Gpu* opened, const std::optional<cuda::Nvml>& nvml) {
  if (opened != nullptr) {
    const auto [freeBytes, totalBytes] = cuda::memory(*opened->context);
    return cuda::CardMemory{totalBytes, totalBytes - freeBytes, freeBytes};
  }
  return nvml ? nvml->memory(gpu.pciBusId) : std::nullopt;
}

std::vector<Told> read(const std::vector<Asked>& gpus) {
  const auto nvml = cuda::Nvml::open();
  std::vector<Told> all;
  for (const Asked& gpu : gpus) {
    const std::shared_ptr<Gpu> opened = Gpu::opened(gpu.ordinal);
    const auto memory = memoryOf(gpu, opened.get(), nvml);
    if (!memory) continue;
    Told told{.ordinal = gpu.ordinal, .memory = *memory, .traffic = {}, .pinned = {}, .device = {}};
    if (nvml) told.traffic = nvml->pcieTraffic(gpu.pciBusId);
    if (opened != nullptr) {
      told.pinned = opened->pinned.stats();
      told.device = opened->device.stats();
    }
    all.push_back(std::move(told));
  }
  return all;
}

Napi::Value number(Napi::Env env, std::uint64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Value describe(Napi::Env env, const cuda::PoolStats& stats) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("reservedBytes", number(env, stats.reservedBytes));
  result.Set("usedBytes", number(env, stats.usedBytes));
  return result;
}

Napi::Value describe(Napi::Env env, const std::vector<Told>& all) {
  Napi::Array result = Napi::Array::New(env);
  for (const Told& told : all) {
    Napi::Object each = Napi::Object::New(env);
    each.Set("ordinal", Napi::Number::New(env, told.ordinal));
    each.Set("totalBytes", number(env, told.memory.totalBytes));
    each.Set("usedBytes", number(env, told.memory.usedBytes));
    each.Set("freeBytes", number(env, told.memory.freeBytes));
    if (told.traffic) {
      each.Set("receivedBytesPerSecond", number(env, told.traffic->received));
      each.Set("sentBytesPerSecond", number(env, told.traffic->sent));
    }
    if (told.pinned) each.Set("pinnedPool", describe(env, *told.pinned));
    if (told.device) each.Set("devicePool", describe(env, *told.device));
    result.Set(result.Length(), each);
  }
  return result;
}

}  // namespace

Napi::Value gpuMemory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto given = info[0].As<Napi::Array>();
    std::vector<Asked> gpus;
    for (std::uint32_t i = 0; i < given.Length(); ++i) {
      const auto gpu = given.Get(i).As<Napi::Object>();
      gpus.push_back(
          {gpu.Get("ordinal").As<Napi::Number>().Int32Value(), gpu.Get("pciBusId").As<Napi::String>().Utf8Value()});
    }
    return Instance::of(env).run(given, [gpus = std::move(gpus)]() -> Instance::MakeValue {
      return [told = read(gpus)](Napi::Env made) { return describe(made, told); };
    });
  });
}

}  // namespace tensorrt_node::binding
