// class GpuHessian in JavaScript: a layer's Hessian on a GPU, for `quantizeModel`.
#pragma once

#include <napi.h>

#include <memory>

namespace tensorrt_node::binding {

// new GpuHessian(ordinal, size). Methods are called one after another, each when the promise of the one before it is
// settled.
class GpuHessianObject : public Napi::ObjectWrap<GpuHessianObject> {
 public:
  static constexpr const char* kName = "GpuHessian";
  static Napi::Function define(Napi::Env env);
  explicit GpuHessianObject(const Napi::CallbackInfo& info);

 private:
  struct Shared;

  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value factorize(const Napi::CallbackInfo& info);
  Napi::Value readFactor(const Napi::CallbackInfo& info);
  Napi::Value gptq(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  // What a call holds on to; throws after dispose.
  std::shared_ptr<Shared> shared() const;

  std::shared_ptr<Shared> shared_;
};

}  // namespace tensorrt_node::binding
