// class NativeBinding in JavaScript: an engine bound to pinned memory, run in one call.
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "../tensorrt/bound_execution.h"

namespace tensorrt_node::binding {

// What an engine's bindings and its refits know of each other; of the JavaScript thread.
struct BindingActivity {
  // Runs of bindings under way.
  std::size_t runs = 0;
  bool refitting = false;
};

class BindingObject : public Napi::ObjectWrap<BindingObject> {
 public:
  static constexpr const char* kName = "NativeBinding";
  static constexpr napi_type_tag kTag{0x7c1f3f5b8a2b4e11, 0x9d5a6c1e4b7f2a11};
  static Napi::Function define(Napi::Env env);
  explicit BindingObject(const Napi::CallbackInfo& info);

  // What an object of this class is made of, passed to the constructor.
  struct Parts {
    std::unique_ptr<tensorrt::BoundExecution> execution;
    std::shared_ptr<BindingActivity> activity;
  };

 private:
  class Bound;
  Napi::Value outputDims(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  void runSync(const Napi::CallbackInfo& info);
  Napi::Value gpuMilliseconds(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  Napi::Array wrap(Napi::Env env, const std::vector<std::shared_ptr<cuda::PinnedBlock>>& blocks);
  // Throws after dispose.
  Bound& bound() const;
  // The same, with nothing under way.
  Bound& idle() const;

  std::shared_ptr<Bound> bound_;
  std::vector<Napi::Reference<Napi::ArrayBuffer>> buffers_;
};

}  // namespace tensorrt_node::binding
