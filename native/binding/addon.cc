// The addon's entry: called once for each environment that loads it.
#include <napi.h>

#include "build_object.h"
#include "decoder_object.h"
#include "engine_object.h"
#include "errors.h"
#include "file_lock.h"
#include "gpu_hessian_object.h"
#include "gpu_memory.h"
#include "instance.h"
#include "objects.h"
#include "profiler.h"
#include "quantize.h"
#include "system.h"
#include "unwrap.h"

namespace tensorrt_node::binding {
namespace {

void releasePinned(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { Instance::of(info.Env()).pinned().release(arrayBuffer(info[0])); });
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(std::make_unique<Instance>(env).release());
  exports.Set("loadDriver", Napi::Function::New<loadDriver>(env, "loadDriver"));
  exports.Set("driverVersion", Napi::Function::New<driverVersion>(env, "driverVersion"));
  exports.Set("gpuModels", Napi::Function::New<gpuModels>(env, "gpuModels"));
  exports.Set("devices", Napi::Function::New<devices>(env, "devices"));
  exports.Set("gpuMemory", Napi::Function::New<gpuMemory>(env, "gpuMemory"));
  exports.Set("openTensorrt", Napi::Function::New<openTensorrt>(env, "openTensorrt"));
  exports.Set("buildEngine", Napi::Function::New<buildEngine>(env, "buildEngine"));
  exports.Set("mergeTimingCache", Napi::Function::New<mergeTimingCache>(env, "mergeTimingCache"));
  exports.Set("tryLock", Napi::Function::New<tryLock>(env, "tryLock"));
  exports.Set("releasePinned", Napi::Function::New<releasePinned>(env, "releasePinned"));
  exports.Set("loadKernels", Napi::Function::New<loadKernels>(env, "loadKernels"));
  exports.Set("loadDecoder", Napi::Function::New<loadDecoder>(env, "loadDecoder"));
  exports.Set("loadEngine", Napi::Function::New<loadEngine>(env, "loadEngine"));
  exports.Set("startProfiler", Napi::Function::New<startProfiler>(env, "startProfiler"));
  exports.Set("stopProfiler", Napi::Function::New<stopProfiler>(env, "stopProfiler"));
  exports.Set("takeActivities", Napi::Function::New<takeActivities>(env, "takeActivities"));
  defineQuantize(env, exports);
  exports.Set(GpuHessianObject::kName, GpuHessianObject::define(env));
  exports.Set(DeviceObject::kName, DeviceObject::define(env));
  exports.Set(StreamObject::kName, StreamObject::define(env));
  exports.Set(EventObject::kName, EventObject::define(env));
  exports.Set(DeviceMemoryObject::kName, DeviceMemoryObject::define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(tensorrt_node, initialise)

}  // namespace tensorrt_node::binding
