// Engines in JavaScript: loading them, running them, and what they are.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "../tensorrt/engine.h"
#include "../tensorrt/run_queue.h"

namespace tensorrt_node::binding {

class EngineRuns;
struct BindingActivity;
struct RunPace;

// (request) -> Promise<NativeEngine>
Napi::Value loadEngine(const Napi::CallbackInfo& info);

// What loadEngine makes; its constructor is of no use to JavaScript.
class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static constexpr const char* kName = "NativeEngine";
  static constexpr napi_type_tag kTag{0x7c1f3f5b8a2b4e10, 0x9d5a6c1e4b7f2a10};
  static Napi::Function define(Napi::Env env);
  explicit EngineObject(const Napi::CallbackInfo& info);

  // What an object of this class is made of, passed to the constructor.
  struct Parts {
    std::shared_ptr<const tensorrt::Engine> engine;
    std::shared_ptr<EngineRuns> runs;
  };

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value layerInformation(const Napi::CallbackInfo& info);
  // (inputs, {runs, warmUp}) -> {result, cancel()}
  Napi::Value profileLayers(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value bind(const Napi::CallbackInfo& info);
  Napi::Value refit(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  // Throws after dispose.
  const tensorrt::Engine& engine() const;
  std::vector<tensorrt::RunInput> inputsOf(Napi::Env env, const Napi::Value& given) const;

  Parts parts_;
  std::shared_ptr<BindingActivity> activity_;
  std::shared_ptr<RunPace> pace_;
};

}  // namespace tensorrt_node::binding
