// Functions that tell what this machine has: the driver, its devices, TensorRT's libraries.
#pragma once

#include <napi.h>

namespace tensorrt_node::binding {

// () -> {status, path, problem, hint}
Napi::Value loadDriver(const Napi::CallbackInfo& info);
// () -> {api, kernel?}
Napi::Value driverVersion(const Napi::CallbackInfo& info);
// () -> [{name, computeMajor, computeMinor, divided}], without starting CUDA; undefined where nobody else can tell
Napi::Value gpuModels(const Napi::CallbackInfo& info);
// () -> [{ordinal, name, …}]
Napi::Value devices(const Napi::CallbackInfo& info);
// (candidates: string[]) -> {version, infer, parser?, parserProblem?}
Napi::Value openTensorrt(const Napi::CallbackInfo& info);

}  // namespace tensorrt_node::binding
