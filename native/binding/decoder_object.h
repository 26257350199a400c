// class NativeDecoder in JavaScript: a language model that decodes on the GPU.
#pragma once

#include <napi.h>

#include <memory>

#include "../decode/scheduler.h"
#include "counted_requests.h"
#include "instance.h"

namespace tensorrt_node::binding {

// (device): loads the kernels that decoders run. Throws what that fails with.
Napi::Value loadKernels(const Napi::CallbackInfo& info);

// (request, listener, onProgress) -> {result: Promise<NativeDecoder>, cancel()}
Napi::Value loadDecoder(const Napi::CallbackInfo& info);

// The scheduler and what it is made of; its thread ends before the environment does.
class RunningDecoder final : public Stoppable {
 public:
  RunningDecoder(std::unique_ptr<decode::StepRunner> runner, const decode::SchedulerOptions& options,
                 std::shared_ptr<decode::Sink> sink)
      : scheduler_(std::move(runner), options, std::move(sink)) {}
  decode::Scheduler& scheduler() noexcept { return scheduler_; }
  void close();
  void stop() override;

 private:
  decode::Scheduler scheduler_;
};

class DecoderObject : public Napi::ObjectWrap<DecoderObject> {
 public:
  static constexpr const char* kName = "NativeDecoder";
  static constexpr napi_type_tag kTag{0x5e0d1c7a94b2463f, 0xa1f06b2d8c3e4757};
  static Napi::Function define(Napi::Env env);
  explicit DecoderObject(const Napi::CallbackInfo& info);

  // Whom tokens are told to, and the requests that keep the process alive until they end. Only the object owns it, so
  // that it goes on the JavaScript thread.
  struct Audience {
    Napi::FunctionReference tokens;
    Napi::ObjectReference listener;
    std::size_t requests = 0;
  };
  // What the scheduler's thread finds the audience by, and the requests that have none.
  struct Address {
    explicit Address(Instance& instance) : counted(instance) {}
    std::weak_ptr<Audience> audience;
    CountedRequests counted;
  };
  // What an object of this class is made of, passed to the constructor.
  struct Parts {
    std::shared_ptr<RunningDecoder> decoder;
    std::shared_ptr<Address> address;
    Napi::Object listener;
  };

 private:
  void submit(const Napi::CallbackInfo& info);
  void abort(const Napi::CallbackInfo& info);
  void consumed(const Napi::CallbackInfo& info);
  void createSequence(const Napi::CallbackInfo& info);
  void forkSequence(const Napi::CallbackInfo& info);
  void disposeSequence(const Napi::CallbackInfo& info);
  Napi::Value score(const Napi::CallbackInfo& info);
  // ({step, rows, context, runs, warmUp}) -> {result, cancel()}
  Napi::Value profileLayers(const Napi::CallbackInfo& info);
  // As submit(), for a promise of {tokens, seconds}: the tokens are counted, and told to nobody.
  Napi::Value count(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value histograms(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  // ({finishRunning, keepRam})
  Napi::Value suspend(const Napi::CallbackInfo& info);
  Napi::Value resume(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  // Throws after dispose.
  decode::Scheduler& scheduler() const;

  std::shared_ptr<RunningDecoder> decoder_;
  std::shared_ptr<Audience> audience_;
  std::shared_ptr<Address> address_;
};

}  // namespace tensorrt_node::binding
