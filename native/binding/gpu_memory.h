// What memory GPUs have, and what of it this process's pools have.
#pragma once

#include <napi.h>

namespace tensorrt_node::binding {

// (gpus: [{ordinal, pciBusId}]) -> Promise<[{ordinal, totalBytes, freeBytes, …}]>, without those that tell nothing
Napi::Value gpuMemory(const Napi::CallbackInfo& info);

}  // namespace tensorrt_node::binding
