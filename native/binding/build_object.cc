#include "build_object.h"

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../tensorrt/builder.h"
#include "../tensorrt/libraries.h"
#include "../tensorrt/logger.h"
#include "../tensorrt/timing_cache.h"
#include "build_request.h"
#include "errors.h"
#include "gpu.h"
#include "instance.h"
#include "load_engine.h"

namespace tensorrt_node::binding {
namespace {

// TensorRT may build in several threads, but its builders fight for the GPU while they measure.
class OneBuild {
 public:
  OneBuild() {
    if (building_.exchange(true)) throw BusyError("an engine is being built in this process already");
  }
  ~OneBuild() { building_ = false; }
  OneBuild(const OneBuild&) = delete;
  OneBuild& operator=(const OneBuild&) = delete;

 private:
  static inline std::atomic<bool> building_ = false;
};

// Takes what a build tells to the listener in JavaScript, a property of the promise's owner.
class ListenerCalls final : public tensorrt::BuildListener {
 public:
  ListenerCalls(Instance& instance, std::uint64_t number, std::shared_ptr<tensorrt::BuildControl> control) noexcept
      : instance_(instance), number_(number), control_(std::move(control)) {}

  void progress(tensorrt::Progress progress) override {
    // What the builder loads by itself is there too by now.
    static std::once_flag loaded;
    std::call_once(loaded, Instance::stopAllAtExit);
    post("progress", [progress = std::move(progress)](Napi::Env env) { return Arguments{describe(env, progress)}; });
  }
  void batchWanted() override {
    post("batchWanted", [](Napi::Env) { return Arguments{}; });
  }

 private:
  using Arguments = std::vector<napi_value>;

  template <typename MakeArguments>
  void post(const char* method, MakeArguments makeArguments) {
    const auto call = [&instance = instance_, number = number_, control = control_, method,
                       makeArguments = std::move(makeArguments)](Napi::Env env) {
      try {
        const auto listener = instance.owner(number).Get("listener").As<Napi::Object>();
        listener.Get(method).As<Napi::Function>().Call(listener, makeArguments(env));
      } catch (const Napi::Error& error) {
        // Nobody is there to throw to.
        const std::string message = std::string(method) + "() of the build's listener threw: " + error.Message();
        control->fail(std::make_exception_ptr(std::runtime_error(message)));
      }
    };
    instance_.post(call);
  }

  static Napi::Object describe(Napi::Env env, const tensorrt::Progress& progress) {
    using Event = tensorrt::Progress::Event;
    Napi::Object event = Napi::Object::New(env);
    event.Set("phase", progress.phase);
    switch (progress.event) {
      case Event::start:
        event.Set("event", "start");
        if (!progress.parent.empty()) event.Set("parent", progress.parent);
        event.Set("steps", Napi::Number::New(env, progress.steps));
        break;
      case Event::step:
        event.Set("event", "step");
        event.Set("step", Napi::Number::New(env, progress.step));
        break;
      case Event::finish:
        event.Set("event", "finish");
        break;
    }
    return event;
  }

  Instance& instance_;
  const std::uint64_t number_;
  const std::shared_ptr<tensorrt::BuildControl> control_;
};

Napi::Value describe(Napi::Env env, const tensorrt::BuildResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("planBytes", Napi::Number::New(env, static_cast<double>(result.planBytes)));
  object.Set("layers", Napi::Number::New(env, result.layers));
  Napi::Array unmatched = Napi::Array::New(env, result.unmatched.size());
  for (std::uint32_t i = 0; i < unmatched.Length(); ++i) unmatched.Set(i, result.unmatched[i]);
  object.Set("unmatched", unmatched);
  object.Set("timingCacheUsed", Napi::Boolean::New(env, result.timingCacheUsed));
  return object;
}

void echoLog(const Napi::Object& request) {
  using Severity = nvinfer1::ILogger::Severity;
  if (request.Get("logLevel").IsUndefined()) return;
  const std::string level = textOf(request, "logLevel");
  for (const auto& [word, severity] : {std::pair{"error", Severity::kERROR}, std::pair{"warning", Severity::kWARNING},
                                       std::pair{"info", Severity::kINFO}, std::pair{"verbose", Severity::kVERBOSE}}) {
    if (level == word) return tensorrt::Logger::instance().echo(severity);
  }
  throw std::invalid_argument("logLevel: expected 'error', 'warning', 'info' or 'verbose'");
}

Napi::Object requestOf(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) throw std::invalid_argument("expected a request");
  return info[0].As<Napi::Object>();
}

Napi::Object listenerOf(const Napi::CallbackInfo& info) {
  const Napi::Value value = info[1];
  if (!value.IsObject() || !value.As<Napi::Object>().Get("progress").IsFunction() ||
      !value.As<Napi::Object>().Get("batchWanted").IsFunction())
    throw std::invalid_argument("expected a listener with the functions progress and batchWanted");
  return value.As<Napi::Object>();
}

}  // namespace

Napi::Value buildEngine(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const Napi::Object given = requestOf(info);
    const tensorrt::BuildRequest request = buildRequest(given);
    const int device = integerOf(given, "device");
    const std::vector<std::string> candidates = textsOf(given, "tensorrt");
    Napi::Object owner = Napi::Object::New(env);
    owner.Set("listener", listenerOf(info));
    echoLog(given);

    const auto one = std::make_shared<OneBuild>();
    const auto control = std::make_shared<tensorrt::BuildControl>();
    Instance& instance = Instance::of(env);
    const Instance::Pending pending = instance.promise(owner);
    const auto work = [request, device, candidates, control, one, &instance,
                       number = pending.number]() -> Instance::MakeValue {
      const std::shared_ptr<Gpu> gpu = Gpu::open(device);
      const tensorrt::Libraries libraries = openLibraries(candidates);
      ListenerCalls listener(instance, number, control);
      const tensorrt::BuildResult result = tensorrt::build(libraries, gpu->context, request, listener, *control);
      return [result](Napi::Env there) { return describe(there, result); };
    };
    instance.run(pending.number, work, [control] { control->cancel(); });

    Napi::Object build = Napi::Object::New(env);
    build.Set("result", pending.promise);
    build.Set("cancel", Napi::Function::New(env, [control](const Napi::CallbackInfo&) { control->cancel(); }));
    build.Set("provideBatch", Napi::Function::New(env, [control](const Napi::CallbackInfo& call) {
                guarded(call.Env(), [&] { control->provideBatch(batch(call[0])); });
              }));
    return build;
  });
}

Napi::Value mergeTimingCache(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Napi::Object request = requestOf(info);
    return Instance::of(info.Env())
        .run(request,
             [device = integerOf(request, "device"), candidates = textsOf(request, "tensorrt"),
              into = textOf(request, "into"), from = textOf(request, "from")]() -> Instance::MakeValue {
               const std::shared_ptr<Gpu> gpu = Gpu::open(device);
               const cuda::Current current(*gpu->context);
               tensorrt::mergeTimingCache(openLibraries(candidates), into, from);
               return {};
             });
  });
}

}  // namespace tensorrt_node::binding
