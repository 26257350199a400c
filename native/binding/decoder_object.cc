// class NativeDecoder in JavaScript.
#include "decoder_object.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "../decode/gpu/engine_parts.h"
#include "../decode/gpu/gpu_runner.h"
#include "../profile/nvtx.h"
#include "../tensorrt/error.h"
#include "../weights/store.h"
#include "counted_requests.h"
#include "decoder_request.h"
#include "errors.h"
#include "gpu.h"
#include "layer_times.h"
#include "load_engine.h"
#include "unwrap.h"

namespace tensorrt_node::binding {

namespace {

std::exception_ptr disposed() {
  return std::make_exception_ptr(decode::DisposedError("the model was disposed"));
}

template <typename Values>
Napi::Array numbersOf(Napi::Env env, const Values& values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    array.Set(static_cast<std::uint32_t>(i), Napi::Number::New(env, static_cast<double>(values[i])));
  return array;
}

template <std::size_t Size>
Napi::Object describe(Napi::Env env, const decode::Histogram<Size>& histogram) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("bounds", numbersOf(env, histogram.bounds()));
  object.Set("counts", numbersOf(env, histogram.counts()));
  object.Set("sum", Napi::Number::New(env, histogram.sum()));
  return object;
}

const char* word(decode::FinishReason reason) noexcept {
  switch (reason) {
    case decode::FinishReason::stop:
      return "stop";
    case decode::FinishReason::length:
      return "length";
    case decode::FinishReason::aborted:
      return "aborted";
  }
  return "aborted";
}

template <typename Array, typename Value>
Array arrayOf(Napi::Env env, const std::vector<Value>& values) {
  Array array = Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(Value));
  return array;
}

Napi::Object describe(Napi::Env env, const decode::Timings& timings) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("queue", Napi::Number::New(env, timings.queue));
  object.Set("prefill", Napi::Number::New(env, timings.prefill));
  object.Set("decode", Napi::Number::New(env, timings.decode));
  object.Set("prefilledTokens", Napi::Number::New(env, timings.prefilledTokens));
  return object;
}

Napi::Object describe(Napi::Env env, const std::variant<decode::Finished, std::exception_ptr>& ending) {
  Napi::Object object = Napi::Object::New(env);
  if (const auto* finished = std::get_if<decode::Finished>(&ending)) {
    object.Set("reason", Napi::String::New(env, word(finished->reason)));
    object.Set("timings", describe(env, finished->timings));
  } else {
    object.Set("error", toJavaScript(env, std::get<std::exception_ptr>(ending)).Value());
  }
  return object;
}

Napi::Object describe(Napi::Env env, const decode::Batch& batch) {
  std::vector<std::int32_t> tokens;
  std::vector<float> logprobs;
  std::vector<std::int32_t> topTokens;
  std::vector<float> topLogprobs;
  for (const decode::Token& token : batch.tokens) {
    tokens.push_back(token.token);
    logprobs.push_back(token.logprob);
    for (const decode::TokenLogprob& top : token.top) {
      topTokens.push_back(top.token);
      topLogprobs.push_back(top.logprob);
    }
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("request", Napi::Number::New(env, static_cast<double>(batch.request)));
  object.Set("tokens", arrayOf<Napi::Int32Array>(env, tokens));
  object.Set("logprobs", arrayOf<Napi::Float32Array>(env, logprobs));
  object.Set("topTokens", arrayOf<Napi::Int32Array>(env, topTokens));
  object.Set("topLogprobs", arrayOf<Napi::Float32Array>(env, topLogprobs));
  if (batch.ending) object.Set("ending", describe(env, *batch.ending));
  return object;
}

Napi::Object describe(Napi::Env env, const weights::StoreCounters& moved) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, auto value) {
    object.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  set("blocks", moved.blocks);
  set("bytesCopied", moved.bytesCopied);
  set("copySeconds", moved.copySeconds);
  set("reads", moved.reads);
  set("bytesRead", moved.bytesRead);
  set("computeWaitSeconds", moved.computeWaitSeconds);
  set("prefetchWaitSeconds", moved.prefetchWaitSeconds);
  set("hostWaitSeconds", moved.hostWaitSeconds);
  set("restarts", moved.restarts);
  return object;
}

// Carries what happened to the JavaScript thread.
class Delivery final : public decode::Sink {
 public:
  Delivery(Instance& instance, std::shared_ptr<DecoderObject::Address> address)
      : instance_(instance), address_(std::move(address)) {}

  void deliver(std::vector<decode::Batch> batches) noexcept override {
    try {
      address_->counted.take(batches);
      if (batches.empty()) return;
      instance_.post([address = address_, batches = std::move(batches)](Napi::Env env) {
        const auto audience = address->audience.lock();
        if (audience == nullptr) return;
        tell(env, *audience, batches);
      });
    } catch (...) {
      // No memory for a message: the requests are not heard of again, as when the environment closes.
    }
  }

 private:
  static void tell(Napi::Env env, DecoderObject::Audience& audience, const std::vector<decode::Batch>& batches) {
    Napi::Array list = Napi::Array::New(env, batches.size());
    std::size_t ended = 0;
    for (std::uint32_t i = 0; i < batches.size(); ++i) {
      list.Set(i, describe(env, batches[i]));
      if (batches[i].ending) ++ended;
    }
    Instance& instance = Instance::of(env);
    for (; ended > 0 && audience.requests > 0; --ended) {
      --audience.requests;
      instance.letGo(env);
    }
    audience.tokens.Call(audience.listener.Value(), {list});
  }

  Instance& instance_;
  const std::shared_ptr<DecoderObject::Address> address_;
};

std::vector<decode::PartEngines> loadParts(const DecoderRequest& request, const tensorrt::DeviceMemory& memory) {
  std::vector<decode::PartEngines> engines;
  for (const DecoderRequest::Plans& plans : request.parts) {
    const auto load = [&](std::span<const std::byte> plan) {
      return plan.empty() ? nullptr : loadPlan(request.candidates, memory, plan);
    };
    engines.push_back({.decode = load(plans.decode), .wide = load(plans.wide), .prefill = load(plans.prefill)});
  }
  return engines;
}

// How far what is done first, and then what is done next.
struct LoadProgress {
  weights::OnStored weights;
  std::function<void(std::size_t done, std::size_t total)> graphs;
};

// Steps that wait for weights, a part of which is streamed: one is under way at a time, so that an abort and a token
// are heard of before the next one, which costs nothing, as the weights for it come meanwhile; and prompts beside
// streams get the time that there is.
void streamSteps(const weights::StoreBytes& bytes, decode::SchedulerOptions& options) {
  const auto streamed = static_cast<double>(bytes.ram + bytes.disk);
  if (streamed == 0) return;
  options.stepsInFlight = 1;
  std::int32_t& beside = options.policy.chunkBesideStreams;
  if (!options.policy.fixedChunks)
    beside = std::max(beside, decode::rowsWhileStreaming(streamed / (streamed + static_cast<double>(bytes.vram))));
}

DecoderObject::Parts loadNow(DecoderRequest& request, const LoadProgress& progress, const std::stop_token& stop,
                             Instance& instance) {
  const profile::NvtxRange range([&] { return "load " + request.options.model; });
  const tensorrt::DeviceMemory memory = memoryOf(request.device);
  std::vector<decode::PartEngines> engines = loadParts(request, memory);
  DecoderObject::Parts parts;
  std::shared_ptr<weights::Store> store;
  try {
    store = weights::Store::load(memory, std::move(request.weights), std::move(request.placement), request.store,
                                 progress.weights, stop);
  } catch (const weights::Stopped&) {
    throw tensorrt::AbortedError();
  }
  // What weights were converted in is nobody's now, and may be gigabytes.
  memory.device->trim();
  streamSteps(store->bytes(), request.options);
  parts.address = std::make_shared<DecoderObject::Address>(instance);
  auto runner = std::make_unique<decode::GpuRunner>(memory, std::move(request.model), store,
                                                    std::make_shared<decode::EngineParts>(memory, std::move(engines)),
                                                    request.runner);
  runner->capture([&](std::size_t done, std::size_t total) {
    if (stop.stop_requested()) throw tensorrt::AbortedError();
    progress.graphs(done, total);
  });
  parts.decoder = std::make_shared<RunningDecoder>(std::move(runner), request.options,
                                                   std::make_shared<Delivery>(instance, parts.address));
  return parts;
}

Napi::Value makeDecoder(Napi::Env env, DecoderObject::Parts parts, std::uint64_t number) {
  Instance& instance = Instance::of(env);
  instance.stopAtEnd(parts.decoder);
  parts.listener = instance.owner(number).Get("listener").As<Napi::Object>();
  return instance.classOf<DecoderObject>(env).New({Napi::External<DecoderObject::Parts>::New(env, &parts)});
}

std::uint64_t idOf(const Napi::Value& value) {
  return byteCount(value);
}

// Of (id, tokens, maxNewTokens, sampling).
decode::Request requestOf(const Napi::CallbackInfo& info) {
  if (!info[3].IsObject()) throw std::invalid_argument("expected how to choose tokens");
  return {.tokens = tokensOf(info[1]),
          .sequence = std::nullopt,
          .maxNewTokens = info[2].ToNumber().Int32Value(),
          .sampling = samplingOf(info[3].As<Napi::Object>())};
}

// A promise that is settled as `ask` tells.
Napi::Value settledBy(const Napi::CallbackInfo& info, const std::function<void(decode::Settled)>& ask) {
  Instance& instance = Instance::of(info.Env());
  const Instance::Pending pending = instance.promise(info.This().As<Napi::Object>());
  try {
    ask([&instance, number = pending.number](std::exception_ptr error) { instance.settle(number, std::move(error)); });
  } catch (...) {
    instance.settle(pending.number, std::current_exception());
  }
  return pending.promise;
}

}  // namespace

void RunningDecoder::close() {
  scheduler_.close(disposed());
}

void RunningDecoder::stop() {
  scheduler_.stop(disposed());
}

Napi::Value loadKernels(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    Instance::of(env).gpu(info[0].ToNumber().Int32Value())->loadKernels();
    return env.Undefined();
  });
}

Napi::Value loadDecoder(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    if (!info[0].IsObject() || !info[1].IsObject() || !info[2].IsFunction())
      throw std::invalid_argument("expected a request, a listener and a function");
    const auto given = info[0].As<Napi::Object>();
    if (!info[1].As<Napi::Object>().Get("tokens").IsFunction())
      throw std::invalid_argument("expected a listener with the function tokens");
    const auto request = std::make_shared<DecoderRequest>(decoderRequest(given));
    Instance& instance = Instance::of(env);
    // Keeps the plans alive as well.
    Napi::Object owner = Napi::Object::New(env);
    owner.Set("request", given);
    owner.Set("listener", info[1]);
    owner.Set("onProgress", info[2]);
    const Instance::Pending pending = instance.promise(owner);
    const auto stop = std::make_shared<std::stop_source>();
    const auto work = [request, stop, &instance, number = pending.number]() -> Instance::MakeValue {
      const auto tell = [&instance, number](const char* what) {
        return [&instance, number, what](std::uint64_t done, std::uint64_t total) {
          instance.post([&instance, number, what, done, total](Napi::Env there) {
            const Napi::Object listening = instance.owner(number);
            listening.Get("onProgress")
                .As<Napi::Function>()
                .Call({Napi::String::New(there, what), Napi::Number::New(there, static_cast<double>(done)),
                       Napi::Number::New(there, static_cast<double>(total))});
          });
        };
      };
      DecoderObject::Parts parts = loadNow(*request, {tell("weights"), tell("graphs")}, stop->get_token(), instance);
      return [decoder = parts.decoder, address = parts.address, number](Napi::Env there) {
        DecoderObject::Parts made;
        made.decoder = decoder;
        made.address = address;
        return makeDecoder(there, std::move(made), number);
      };
    };
    instance.run(pending.number, work, [stop] { stop->request_stop(); });
    Napi::Object load = Napi::Object::New(env);
    load.Set("result", pending.promise);
    load.Set("cancel", Napi::Function::New(env, [stop](const Napi::CallbackInfo&) { stop->request_stop(); }));
    return load;
  });
}

Napi::Function DecoderObject::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceMethod<&DecoderObject::submit>("submit"),
                         InstanceMethod<&DecoderObject::abort>("abort"),
                         InstanceMethod<&DecoderObject::consumed>("consumed"),
                         InstanceMethod<&DecoderObject::createSequence>("createSequence"),
                         InstanceMethod<&DecoderObject::forkSequence>("forkSequence"),
                         InstanceMethod<&DecoderObject::disposeSequence>("disposeSequence"),
                         InstanceMethod<&DecoderObject::score>("score"),
                         InstanceMethod<&DecoderObject::profileLayers>("profileLayers"),
                         InstanceMethod<&DecoderObject::memory>("memory"),
                         InstanceMethod<&DecoderObject::suspend>("suspend"),
                         InstanceMethod<&DecoderObject::resume>("resume"),
                         InstanceMethod<&DecoderObject::count>("count"),
                         InstanceMethod<&DecoderObject::stats>("stats"),
                         InstanceMethod<&DecoderObject::histograms>("histograms"),
                         InstanceMethod<&DecoderObject::dispose>("dispose"),
                     });
}

DecoderObject::DecoderObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
  guarded(info.Env(), [&] {
    if (!info[0].IsExternal()) throw std::invalid_argument("decoders are made by loadDecoder");
    Parts& parts = *info[0].As<Napi::External<Parts>>().Data();
    decoder_ = std::move(parts.decoder);
    audience_ = std::make_shared<Audience>();
    audience_->listener = Napi::Persistent(parts.listener);
    audience_->tokens = Napi::Persistent(parts.listener.Get("tokens").As<Napi::Function>());
    parts.address->audience = audience_;
    address_ = parts.address;
  });
}

decode::Scheduler& DecoderObject::scheduler() const {
  if (decoder_ == nullptr) throw DisposedError("the model was disposed");
  return decoder_->scheduler();
}

void DecoderObject::submit(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    decode::Request request = requestOf(info);
    if (!info[4].IsUndefined()) request.sequence = idOf(info[4]);
    scheduler().submit(idOf(info[0]), std::move(request));
    ++audience_->requests;
    Instance::of(info.Env()).keepAlive(info.Env());
  });
}

void DecoderObject::abort(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { scheduler().abort(idOf(info[0])); });
}

void DecoderObject::consumed(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { scheduler().consumed(idOf(info[0]), info[1].ToNumber().Int32Value()); });
}

void DecoderObject::createSequence(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { scheduler().createSequence(idOf(info[0])); });
}

void DecoderObject::forkSequence(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { scheduler().forkSequence(idOf(info[0]), idOf(info[1])); });
}

void DecoderObject::disposeSequence(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { scheduler().disposeSequence(idOf(info[0])); });
}

Napi::Value DecoderObject::score(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    std::vector<std::int32_t> tokens = tokensOf(info[0]);
    decode::Scheduler& scores = scheduler();
    Instance& instance = Instance::of(info.Env());
    const Instance::Pending pending = instance.promise(info.This().As<Napi::Object>());
    const auto scored = [&instance, number = pending.number](std::vector<float> logits, std::exception_ptr error) {
      if (error) return instance.settle(number, error);
      const auto kept = std::make_shared<const std::vector<float>>(std::move(logits));
      instance.settle(number, [kept](Napi::Env env) { return arrayOf<Napi::Float32Array>(env, *kept); });
    };
    try {
      scores.score(std::move(tokens), scored);
    } catch (...) {
      instance.settle(pending.number, std::current_exception());
    }
    return pending.promise;
  });
}

Napi::Value DecoderObject::profileLayers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    if (!info[0].IsObject()) throw std::invalid_argument("expected which step");
    const auto given = info[0].As<Napi::Object>();
    const bool decoding = given.Get("step").ToString().Utf8Value() == "decode";
    const decode::StepLayersRequest request{.kind = decoding ? decode::StepKind::decode : decode::StepKind::prefill,
                                            .rows = given.Get("rows").ToNumber().Int32Value(),
                                            .context = given.Get("context").ToNumber().Int32Value(),
                                            .runs = byteCount(given.Get("runs")),
                                            .warmUp = byteCount(given.Get("warmUp"))};
    decode::Scheduler& timing = scheduler();
    Instance& instance = Instance::of(env);
    const Instance::Pending pending = instance.promise(info.This().As<Napi::Object>());
    const auto stop = std::make_shared<std::stop_source>();
    const auto told = [&instance, number = pending.number](decode::StepLayers layers, std::exception_ptr error) {
      if (error) return instance.settle(number, error);
      const auto kept = std::make_shared<const decode::StepLayers>(std::move(layers));
      instance.settle(number, [kept](Napi::Env there) { return describe(there, *kept); });
    };
    try {
      timing.layers(request, stop->get_token(), told);
    } catch (...) {
      instance.settle(pending.number, std::current_exception());
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("result", pending.promise);
    result.Set("cancel", Napi::Function::New(env, [stop](const Napi::CallbackInfo&) { stop->request_stop(); }));
    return result;
  });
}

Napi::Value DecoderObject::count(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    decode::Scheduler& decoding = scheduler();
    decode::Request request = requestOf(info);
    const decode::RequestId id = idOf(info[0]);
    Instance& instance = Instance::of(info.Env());
    const Instance::Pending pending = instance.promise(info.This().As<Napi::Object>());
    address_->counted.add(id, decoding, pending.number);
    try {
      decoding.submit(id, std::move(request));
    } catch (...) {
      address_->counted.remove(id);
      instance.settle(pending.number, std::current_exception());
    }
    return pending.promise;
  });
}

Napi::Value DecoderObject::stats(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const decode::SchedulerStats stats = scheduler().stats();
    Napi::Object object = Napi::Object::New(info.Env());
    const auto set = [&](const char* name, auto value) {
      object.Set(name, Napi::Number::New(info.Env(), static_cast<double>(value)));
    };
    set("waiting", stats.waiting);
    set("slots", stats.slots);
    set("slotsInUse", stats.slotsInUse);
    set("pages", stats.pages);
    set("pagesInUse", stats.pagesInUse);
    set("pagesKept", stats.pagesKept);
    set("prefillSteps", stats.prefillSteps);
    set("decodeSteps", stats.decodeSteps);
    set("decodeRows", stats.decodeRows);
    set("wastedRows", stats.wastedRows);
    set("lostSteps", stats.lostSteps);
    object.Set("suspended", Napi::Boolean::New(info.Env(), stats.suspended));
    object.Set("weights", describe(info.Env(), stats.usage.moved));
    return object;
  });
}

Napi::Value DecoderObject::histograms(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const decode::StepHistograms histograms = scheduler().stats().histograms;
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("prefillSeconds", describe(info.Env(), histograms.prefillSeconds));
    object.Set("decodeSeconds", describe(info.Env(), histograms.decodeSeconds));
    object.Set("decodeRows", describe(info.Env(), histograms.decodeRows));
    object.Set("weightsWaitSeconds", describe(info.Env(), histograms.weightsWaitSeconds));
    return object;
  });
}

Napi::Value DecoderObject::memory(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    // Disposed of, it has nothing.
    const decode::SchedulerStats stats = decoder_ == nullptr ? decode::SchedulerStats{} : scheduler().stats();
    const decode::RunnerUsage& usage = stats.usage;
    Napi::Object object = Napi::Object::New(info.Env());
    const auto set = [&](const char* name, std::uint64_t bytes) {
      object.Set(name, Napi::Number::New(info.Env(), static_cast<double>(bytes)));
    };
    set("weightsBytes", stats.suspended ? 0 : usage.weights.vram);
    set("placesBytes", stats.suspended ? 0 : usage.weights.places);
    set("stagingBytes", usage.weights.deviceStaging);
    set("cacheBytes", usage.cache);
    set("scratchBytes", usage.scratch);
    set("pinnedWeightsBytes", usage.weights.ram);
    set("pinnedStagingBytes", usage.weights.pinnedStaging);
    set("pinnedCacheBytes", usage.savedCache);
    set("diskBytes", usage.weights.disk);
    return object;
  });
}

Napi::Value DecoderObject::suspend(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsObject()) throw std::invalid_argument("expected how to suspend");
    const auto given = info[0].As<Napi::Object>();
    const decode::SuspendOptions options{.finishRunning = given.Get("finishRunning").ToBoolean(),
                                         .keepRam = given.Get("keepRam").ToBoolean()};
    return settledBy(info, [&](decode::Settled settled) { scheduler().suspend(options, std::move(settled)); });
  });
}

Napi::Value DecoderObject::resume(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return settledBy(info, [&](decode::Settled settled) { scheduler().resume(std::move(settled)); });
  });
}

Napi::Value DecoderObject::dispose(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto last = std::make_shared<std::shared_ptr<RunningDecoder>>(std::exchange(decoder_, nullptr));
    if (*last != nullptr) (*last)->close();
    return Instance::of(info.Env()).run(info.This().As<Napi::Object>(), [last]() -> Instance::MakeValue {
      if (*last != nullptr) (*last)->stop();
      last->reset();
      return {};
    });
  });
}

}  // namespace tensorrt_node::binding
