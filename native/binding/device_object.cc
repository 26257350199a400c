// class Device in JavaScript: a GPU's memory figures and its pools.
#include "../cuda/device.h"

#include <cstddef>

#include "../kernels/read_speed.h"
#include "errors.h"
#include "instance.h"
#include "objects.h"
#include "unwrap.h"

namespace tensorrt_node::binding {
namespace {

Napi::Value number(Napi::Env env, std::size_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Object describe(Napi::Env env, const cuda::PoolStats& stats) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("reservedBytes", number(env, stats.reservedBytes));
  result.Set("usedBytes", number(env, stats.usedBytes));
  result.Set("highWaterBytes", number(env, stats.highWaterBytes));
  result.Set("usedBlocks", number(env, stats.usedBlocks));
  result.Set("idleBlocks", number(env, stats.idleBlocks));
  result.Set("allocations", number(env, stats.allocations));
  result.Set("reuses", number(env, stats.reuses));
  return result;
}

}  // namespace

Napi::Function DeviceObject::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceMethod<&DeviceObject::memory>("memory"),
                         InstanceMethod<&DeviceObject::allocatePinned>("allocatePinned"),
                         InstanceMethod<&DeviceObject::pinnedStats>("pinnedStats"),
                         InstanceMethod<&DeviceObject::trimPinned>("trimPinned"),
                         InstanceMethod<&DeviceObject::deviceStats>("deviceStats"),
                         InstanceMethod<&DeviceObject::trimDevice>("trimDevice"),
                         InstanceMethod<&DeviceObject::weightReadsPerSecond>("weightReadsPerSecond"),
                     });
}

DeviceObject::DeviceObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
  guarded(info.Env(), [&] { gpu_ = Instance::of(info.Env()).gpu(info[0].As<Napi::Number>().Int32Value()); });
}

Napi::Value DeviceObject::memory(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const cuda::MemoryInfo memory = cuda::memory(*gpu_->context);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("freeBytes", number(info.Env(), memory.freeBytes));
    result.Set("totalBytes", number(info.Env(), memory.totalBytes));
    return result;
  });
}

Napi::Value DeviceObject::allocatePinned(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return Instance::of(info.Env()).pinned().wrap(info.Env(), gpu_->pinned.allocate(byteCount(info[0])));
  });
}

Napi::Value DeviceObject::pinnedStats(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return describe(info.Env(), gpu_->pinned.stats()); });
}

Napi::Value DeviceObject::trimPinned(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return number(info.Env(), gpu_->pinned.trim(byteCount(info[0]))); });
}

Napi::Value DeviceObject::deviceStats(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return describe(info.Env(), gpu_->device.stats()); });
}

Napi::Value DeviceObject::trimDevice(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return number(info.Env(), gpu_->device.trim(byteCount(info[0]))); });
}

// weightReadsPerSecond(bytes)
Napi::Value DeviceObject::weightReadsPerSecond(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto kernels = gpu_->loadKernels();
    return Napi::Number::New(info.Env(),
                             kernels::weightReadsPerSecond(gpu_->context, gpu_->device, *kernels, byteCount(info[0])));
  });
}

}  // namespace tensorrt_node::binding
