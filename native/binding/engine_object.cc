// class NativeEngine in JavaScript.
#include "engine_object.h"

#include <chrono>
#include <cstring>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "../cuda/completion_policy.h"
#include "../cuda/driver.h"
#include "../tensorrt/error.h"
#include "../tensorrt/layer_run.h"
#include "binding_object.h"
#include "completions.h"
#include "engine_info.h"
#include "engine_runs.h"
#include "errors.h"
#include "instance.h"
#include "layer_times.h"
#include "load_engine.h"
#include "unwrap.h"

namespace tensorrt_node::binding {

// How long runs of an engine take, from the call to the result.
struct RunPace {
  cuda::CompletionPolicy policy;
};

namespace {

using Clock = std::chrono::steady_clock;

// A run whose end is waited for on the JavaScript thread. A loop that sleeps hears of it tens of microseconds later
// than one that turns, so it turns while the end is near.
class Listening {
 public:
  Listening(Completions& completions, std::shared_ptr<RunPace> pace)
      : completions_(completions), pace_(std::move(pace)), start_(Clock::now()) {
    const auto expected = pace_->policy.expected();
    if (expected == std::chrono::nanoseconds(0) || expected > kWorthwhile) return;
    completions_.listen(start_ + expected + kPatience);
    listening_ = true;
  }

  // It is over, or nobody waits any more.
  void end() {
    if (std::exchange(ended_, true)) return;
    pace_->policy.finished(Clock::now() - start_);
    if (listening_) completions_.heard();
  }

 private:
  // Of longer runs those microseconds are not worth a core.
  static constexpr auto kWorthwhile = std::chrono::microseconds(500);
  static constexpr auto kPatience = std::chrono::microseconds(200);

  Completions& completions_;
  const std::shared_ptr<RunPace> pace_;
  const Clock::time_point start_;
  bool listening_ = false;
  bool ended_ = false;
};

// Larger outputs are not copied: the pinned memory itself goes to JavaScript. Below, a copy is quicker than the
// bookkeeping of a foreign buffer.
constexpr std::size_t kCopiedBytes = 16 * 1024;

struct LoadRequest {
  explicit LoadRequest(Napi::Object request);

  int device;
  std::vector<std::string> candidates;
  std::span<const std::byte> plan;
  std::size_t contexts;
  std::optional<std::int64_t> weightStreamingBudget;
  std::optional<std::string> refitFrom;
};

LoadRequest::LoadRequest(Napi::Object request)
    : device(request.Get("device").ToNumber().Int32Value()), contexts(byteCount(request.Get("contexts"))) {
  const Napi::Value libraries = request.Get("tensorrt");
  if (!libraries.IsArray()) throw std::invalid_argument("tensorrt: expected an array of paths");
  const auto paths = libraries.As<Napi::Array>();
  for (std::uint32_t i = 0; i < paths.Length(); ++i) candidates.push_back(paths.Get(i).ToString().Utf8Value());
  plan = bytesOf(request, "plan");
  if (contexts < 1 || contexts > 1024) throw std::invalid_argument("contexts: expected 1 to 1024");
  if (const Napi::Value budget = request.Get("weightStreamingBudget"); !budget.IsUndefined())
    weightStreamingBudget = static_cast<std::int64_t>(byteCount(budget));
  if (const Napi::Value model = request.Get("refitFrom"); !model.IsUndefined())
    refitFrom = model.ToString().Utf8Value();
}

// The elements of an input in pinned memory: where they are already, else a copy of them.
tensorrt::RunInput runInput(Instance& instance, const tensorrt::Engine& engine, const tensorrt::TensorInfo& tensor,
                            Napi::Object data) {
  tensorrt::RunInput input;
  input.dims = shape(data.Get("dims"));
  input.offset = byteCount(data.Get("byteOffset"));
  input.bytes = byteCount(data.Get("byteLength"));
  Napi::ArrayBuffer buffer = arrayBuffer(data.Get("buffer"));
  if (input.offset > buffer.ByteLength() || input.bytes > buffer.ByteLength() - input.offset)
    throw std::out_of_range("input '" + tensor.name + "' is not within its buffer");
  if (const std::size_t bytes = tensorrt::tensorBytes(tensor.type, input.dims); bytes != input.bytes)
    throw std::invalid_argument("input '" + tensor.name + "' of shape " + tensorrt::shapeText(input.dims) + " has " +
                                std::to_string(bytes) + " bytes, got " + std::to_string(input.bytes));
  if (const std::shared_ptr<cuda::PinnedBlock> pinned = instance.pinned().share(buffer)) {
    // What the caller wrote before is the caller's word; several runs may read it at once.
    cuda::noteHostAccess(pinned->data() + input.offset, input.bytes, false);
    input.block = pinned;
    return input;
  }
  const auto copy = std::make_shared<cuda::PinnedBlock>(engine.memory().pinned->allocate(input.bytes));
  if (input.bytes > 0)
    std::memcpy(copy->data(), static_cast<const std::byte*>(buffer.Data()) + input.offset, input.bytes);
  input.block = copy;
  input.offset = 0;
  return input;
}

Napi::ArrayBuffer outputBuffer(Napi::Env env, cuda::PinnedBlock block) {
  cuda::noteHostAccess(block.data(), block.size(), false);
  if (block.size() > kCopiedBytes) return Instance::of(env).pinned().wrap(env, std::move(block));
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, block.size());
  if (block.size() > 0) std::memcpy(buffer.Data(), block.data(), block.size());
  return buffer;
}

Napi::Value outputArray(Napi::Env env, std::vector<tensorrt::RunOutput>& outputs) {
  Napi::Array result = Napi::Array::New(env, outputs.size());
  for (std::uint32_t i = 0; i < outputs.size(); ++i) {
    Napi::Object output = Napi::Object::New(env);
    output.Set("dims", dimsArray(env, outputs[i].dims));
    output.Set("buffer", outputBuffer(env, std::move(outputs[i].block)));
    result.Set(i, output);
  }
  return result;
}

Napi::Value makeEngine(Napi::Env env, EngineObject::Parts parts) {
  Instance& instance = Instance::of(env);
  instance.stopAtEnd(parts.runs);
  return instance.classOf<EngineObject>(env).New({Napi::External<EngineObject::Parts>::New(env, &parts)});
}

}  // namespace

Napi::Value loadEngine(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    if (!info[0].IsObject()) throw std::invalid_argument("expected a request");
    const auto object = info[0].As<Napi::Object>();
    // The request keeps the plan alive.
    return Instance::of(info.Env()).run(object, [request = LoadRequest(object)]() -> Instance::MakeValue {
      EngineObject::Parts parts;
      const tensorrt::EngineOptions options{request.weightStreamingBudget, request.refitFrom};
      parts.engine = loadPlan(request.candidates, memoryOf(request.device), request.plan, options);
      parts.runs = std::make_shared<EngineRuns>(parts.engine, request.contexts);
      return [parts = std::move(parts)](Napi::Env env) { return makeEngine(env, parts); };
    });
  });
}

Napi::Function EngineObject::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceMethod<&EngineObject::info>("info"),
                         InstanceMethod<&EngineObject::layerInformation>("layerInformation"),
                         InstanceMethod<&EngineObject::profileLayers>("profileLayers"),
                         InstanceMethod<&EngineObject::run>("run"),
                         InstanceMethod<&EngineObject::bind>("bind"),
                         InstanceMethod<&EngineObject::refit>("refit"),
                         InstanceMethod<&EngineObject::dispose>("dispose"),
                     });
}

EngineObject::EngineObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
  guarded(info.Env(), [&] {
    if (!info[0].IsExternal()) throw std::invalid_argument("engines are made by loadEngine");
    parts_ = std::move(*info[0].As<Napi::External<Parts>>().Data());
    activity_ = std::make_shared<BindingActivity>();
    pace_ = std::make_shared<RunPace>();
  });
}

const tensorrt::Engine& EngineObject::engine() const {
  if (parts_.engine == nullptr) throw DisposedError("the engine is disposed");
  return *parts_.engine;
}

Napi::Value EngineObject::info(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return describe(info.Env(), engine().info()); });
}

Napi::Value EngineObject::layerInformation(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::String::New(info.Env(), engine().layerInformation()); });
}

std::vector<tensorrt::RunInput> EngineObject::inputsOf(Napi::Env env, const Napi::Value& given) const {
  const std::vector<tensorrt::TensorInfo>& tensors = engine().inputs();
  if (!given.IsArray() || given.As<Napi::Array>().Length() != tensors.size())
    throw std::invalid_argument("expected an array of " + std::to_string(tensors.size()) + " inputs");
  std::vector<tensorrt::RunInput> inputs;
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    const Napi::Value data = given.As<Napi::Array>().Get(i);
    if (!data.IsObject()) throw std::invalid_argument("input '" + tensors[i].name + "': expected an object");
    inputs.push_back(runInput(Instance::of(env), engine(), tensors[i], data.As<Napi::Object>()));
  }
  return inputs;
}

Napi::Value EngineObject::profileLayers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    if (activity_->refitting) throw BusyError("the engine is being refitted");
    const auto inputs = std::make_shared<std::vector<tensorrt::RunInput>>(inputsOf(env, info[0]));
    if (!info[1].IsObject()) throw std::invalid_argument("expected how often to run");
    const auto given = info[1].As<Napi::Object>();
    const tensorrt::LayerRunOptions options{.runs = byteCount(given.Get("runs")),
                                            .warmUp = byteCount(given.Get("warmUp"))};
    if (options.runs < 1) throw std::invalid_argument("runs: expected at least 1");
    const auto stop = std::make_shared<std::stop_source>();
    // Weights stay what they are meanwhile.
    ++activity_->runs;
    const auto work = [engine = parts_.engine, activity = activity_, inputs, options, stop]() -> Instance::MakeValue {
      const auto profile = std::make_shared<tensorrt::LayerProfile>();
      std::exception_ptr error;
      try {
        *profile = tensorrt::profileLayers(engine, *inputs, options, stop->get_token());
      } catch (...) {
        error = std::current_exception();
      }
      inputs->clear();
      return [activity, profile, error](Napi::Env there) {
        --activity->runs;
        if (error) std::rethrow_exception(error);
        return describe(there, *profile);
      };
    };
    Napi::Object result = Napi::Object::New(env);
    result.Set("result", Instance::of(env).run(info.This().As<Napi::Object>(), work, [stop] { stop->request_stop(); }));
    result.Set("cancel", Napi::Function::New(env, [stop](const Napi::CallbackInfo&) { stop->request_stop(); }));
    return result;
  });
}

Napi::Value EngineObject::run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    Instance& instance = Instance::of(env);
    std::vector<tensorrt::RunInput> inputs = inputsOf(env, info[0]);
    const Instance::Pending pending = instance.promise(info.This().As<Napi::Object>());
    const auto listening = std::make_shared<Listening>(instance.completions(env), pace_);
    const auto finished = [&instance, listening, number = pending.number](std::vector<tensorrt::RunOutput> outputs,
                                                                          std::exception_ptr error) {
      const auto kept = std::make_shared<std::vector<tensorrt::RunOutput>>(std::move(outputs));
      instance.settle(number, [kept, listening, error](Napi::Env to) {
        listening->end();
        if (error) std::rethrow_exception(error);
        return outputArray(to, *kept);
      });
    };
    const auto run = std::make_shared<tensorrt::Run>(std::move(inputs), finished);
    parts_.runs->queue().submit(run);

    Napi::Object result = Napi::Object::New(env);
    result.Set("result", pending.promise);
    const auto cancel = [weak = std::weak_ptr(parts_.runs), run, listening,
                         number = pending.number](const Napi::CallbackInfo& call) {
      if (const auto runs = weak.lock()) runs->queue().cancel(run);
      Instance::of(call.Env()).settle(number, [listening](Napi::Env) -> Napi::Value {
        listening->end();
        throw tensorrt::AbortedError();
      });
    };
    result.Set("cancel", Napi::Function::New(env, cancel, "cancel"));
    return result;
  });
}

Napi::Value EngineObject::bind(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    if (activity_->refitting) throw BusyError("the engine is being refitted");
    if (!info[0].IsArray() || !info[1].IsObject()) throw std::invalid_argument("expected shapes and options");
    std::vector<tensorrt::Shape> dims;
    for (std::uint32_t i = 0; i < info[0].As<Napi::Array>().Length(); ++i)
      dims.push_back(shape(info[0].As<Napi::Array>().Get(i)));
    const auto options = info[1].As<Napi::Object>();
    const std::string name = engine().info().name.empty() ? "engine" : engine().info().name;
    const tensorrt::BindOptions wanted{.graph = options.Get("graph").ToBoolean(),
                                       .timing = options.Get("timing").ToBoolean()};
    const auto make = [&] {
      return std::make_unique<tensorrt::BoundExecution>(parts_.engine, dims, wanted, name + ", binding");
    };
    BindingObject::Parts parts;
    try {
      parts.execution = make();
    } catch (const cuda::CudaError& error) {
      if (error.result() != CUDA_ERROR_OUT_OF_MEMORY) throw;
      // There is more where contexts hold it for shapes that nobody runs now.
      parts_.runs->queue().forgetIdle();
      parts.execution = make();
    }
    parts.activity = activity_;
    return Instance::of(env).classOf<BindingObject>(env).New({Napi::External<BindingObject::Parts>::New(env, &parts)});
  });
}

Napi::Value EngineObject::refit(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    engine();
    if (activity_->refitting) throw BusyError("the engine is being refitted");
    if (activity_->runs > 0) throw BusyError("a run of one of the engine's bindings is under way");
    const std::string model = info[0].ToString().Utf8Value();
    activity_->refitting = true;
    const auto work = [parts = parts_, activity = activity_, model]() -> Instance::MakeValue {
      std::exception_ptr error;
      try {
        parts.runs->queue().whileIdle([&] { parts.engine->refit(model); });
      } catch (...) {
        error = std::current_exception();
      }
      return [activity, error](Napi::Env env) {
        activity->refitting = false;
        if (error) std::rethrow_exception(error);
        return env.Undefined();
      };
    };
    return Instance::of(info.Env()).run(info.This().As<Napi::Object>(), work);
  });
}

Napi::Value EngineObject::dispose(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    // Whoever copies the work, this is the only owner, and it lets go before the promise settles.
    const auto parts = std::make_shared<Parts>(std::exchange(parts_, {}));
    if (parts->runs != nullptr) parts->runs->close();
    return Instance::of(info.Env()).run(info.This().As<Napi::Object>(), [parts]() -> Instance::MakeValue {
      if (parts->runs != nullptr) parts->runs->stop();
      *parts = {};
      return {};
    });
  });
}

}  // namespace tensorrt_node::binding
