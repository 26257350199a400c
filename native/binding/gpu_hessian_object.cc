#include "gpu_hessian_object.h"

#include <stdexcept>

#include "../quantize/gpu/gpu_hessian.h"
#include "gpu.h"
#include "quantize_arguments.h"

namespace tensorrt_node::binding {

struct GpuHessianObject::Shared {
  Shared(std::shared_ptr<Gpu> owner, std::int64_t size)
      : gpu(std::move(owner)), hessian({gpu->context, gpu->loadKernels(), gpu->device, gpu->pinned}, size) {}

  std::shared_ptr<Gpu> gpu;
  quantize::GpuHessian hessian;
};

Napi::Function GpuHessianObject::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceMethod<&GpuHessianObject::add>("add"),
                         InstanceMethod<&GpuHessianObject::read>("read"),
                         InstanceMethod<&GpuHessianObject::factorize>("factorize"),
                         InstanceMethod<&GpuHessianObject::readFactor>("readFactor"),
                         InstanceMethod<&GpuHessianObject::gptq>("gptq"),
                         InstanceMethod<&GpuHessianObject::dispose>("dispose"),
                     });
}

GpuHessianObject::GpuHessianObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  guarded(info.Env(), [&] {
    const auto gpu = Instance::of(info.Env()).gpu(info[0].As<Napi::Number>().Int32Value());
    shared_ = std::make_shared<Shared>(gpu, info[1].As<Napi::Number>().Int64Value());
  });
}

std::shared_ptr<GpuHessianObject::Shared> GpuHessianObject::shared() const {
  if (shared_ == nullptr) throw std::logic_error("the Hessian has been disposed of");
  return shared_;
}

Napi::Value GpuHessianObject::add(const Napi::CallbackInfo& info) {
  return onThread(info, [this](const Napi::Object& call) {
    return [held = shared(), rows = floatsIn(call, "rows")] { held->hessian.add(rows); };
  });
}

Napi::Value GpuHessianObject::read(const Napi::CallbackInfo& info) {
  return onThread(info, [this](const Napi::Object& call) {
    return [held = shared(), to = floatsIn(call, "hessian")] { held->hessian.read(to); };
  });
}

Napi::Value GpuHessianObject::factorize(const Napi::CallbackInfo& info) {
  return onThread(info, [this](const Napi::Object& call) {
    return [held = shared(), damping = realIn(call, "damping"), order = integersIn(call, "order")] {
      held->hessian.factorize(damping, order);
    };
  });
}

Napi::Value GpuHessianObject::readFactor(const Napi::CallbackInfo& info) {
  return onThread(info, [this](const Napi::Object& call) {
    return [held = shared(), to = floatsIn(call, "factor")] { held->hessian.readFactor(to); };
  });
}

Napi::Value GpuHessianObject::gptq(const Napi::CallbackInfo& info) {
  return onThread(info, [this](const Napi::Object& call) {
    return [held = shared(), weights = gptqWeightsIn(call), format = formatIn(call), rows = rowsIn(call),
            threads = threadsIn(call)] { held->hessian.gptq(weights, format, rows, threads); };
  });
}

void GpuHessianObject::dispose(const Napi::CallbackInfo&) {
  shared_.reset();
}

}  // namespace tensorrt_node::binding
