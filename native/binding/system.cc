// What this machine has, as plain objects.
#include "system.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "../cuda/device.h"
#include "../cuda/driver.h"
#include "../cuda/nvml.h"
#include "../tensorrt/libraries.h"
#include "errors.h"

namespace tensorrt_node::binding {
namespace {

const char* word(cuda::DriverStatus status) noexcept {
  switch (status) {
    case cuda::DriverStatus::ready:
      return "ready";
    case cuda::DriverStatus::libraryMissing:
      return "library-missing";
    case cuda::DriverStatus::functionMissing:
      return "function-missing";
    case cuda::DriverStatus::initialisationFailed:
      return "initialisation-failed";
  }
  return "unknown";
}

Napi::Object describe(Napi::Env env, const cuda::DeviceInfo& device) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("ordinal", Napi::Number::New(env, device.ordinal));
  result.Set("name", Napi::String::New(env, device.name));
  result.Set("computeMajor", Napi::Number::New(env, device.computeMajor));
  result.Set("computeMinor", Napi::Number::New(env, device.computeMinor));
  result.Set("multiprocessors", Napi::Number::New(env, device.multiprocessors));
  result.Set("totalBytes", Napi::Number::New(env, static_cast<double>(device.totalBytes)));
  result.Set("pciBusId", Napi::String::New(env, device.pciBusId));
  return result;
}

}  // namespace

Napi::Value loadDriver(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const cuda::LoadOutcome outcome = cuda::load();
    Napi::Object result = Napi::Object::New(env);
    result.Set("status", Napi::String::New(env, word(outcome.status)));
    result.Set("path", Napi::String::New(env, outcome.path));
    result.Set("problem", Napi::String::New(env, outcome.problem));
    result.Set("hint", Napi::String::New(env, outcome.hint));
    return result;
  });
}

Napi::Value driverVersion(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const cuda::DriverVersion version = cuda::driverVersion();
    Napi::Object result = Napi::Object::New(env);
    result.Set("api", Napi::Number::New(env, version.api));
    if (version.kernel) result.Set("kernel", Napi::String::New(env, *version.kernel));
    return result;
  });
}

Napi::Value devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    Napi::Array result = Napi::Array::New(env);
    for (const cuda::DeviceInfo& device : cuda::devices()) result.Set(result.Length(), describe(env, device));
    return result;
  });
}

Napi::Value gpuModels(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto nvml = cuda::Nvml::open();
    const auto gpus = nvml ? nvml->gpus() : std::nullopt;
    if (!gpus) return env.Undefined();
    Napi::Array result = Napi::Array::New(env);
    for (const cuda::GpuModel& gpu : *gpus) {
      Napi::Object each = Napi::Object::New(env);
      each.Set("name", Napi::String::New(env, gpu.name));
      each.Set("computeMajor", Napi::Number::New(env, gpu.computeMajor));
      each.Set("computeMinor", Napi::Number::New(env, gpu.computeMinor));
      each.Set("divided", Napi::Boolean::New(env, gpu.divided));
      result.Set(result.Length(), each);
    }
    return result;
  });
}

Napi::Value openTensorrt(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const auto given = info[0].As<Napi::Array>();
    std::vector<std::string> candidates;
    for (std::uint32_t i = 0; i < given.Length(); ++i) {
      candidates.push_back(given.Get(i).As<Napi::String>().Utf8Value());
    }
    const tensorrt::Libraries libraries = tensorrt::Libraries::open(candidates);
    Napi::Object result = Napi::Object::New(env);
    result.Set("version", Napi::String::New(env, libraries.version().text()));
    result.Set("infer", Napi::String::New(env, libraries.inferPath()));
    if (const auto parser = libraries.parserPath()) {
      result.Set("parser", Napi::String::New(env, *parser));
    } else {
      result.Set("parserProblem", Napi::String::New(env, libraries.parserProblem()));
    }
    return result;
  });
}

}  // namespace tensorrt_node::binding
