// Builds of engines, and the timing caches they share.
#pragma once

#include <napi.h>

namespace tensorrt_node::binding {

// (request: NativeBuildRequest, listener: NativeBuildListener) -> NativeBuild
Napi::Value buildEngine(const Napi::CallbackInfo& info);
// ({device, tensorrt, into, from}) -> Promise<void>
Napi::Value mergeTimingCache(const Napi::CallbackInfo& info);

}  // namespace tensorrt_node::binding
