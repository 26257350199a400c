// Times of layers as JavaScript has them.
#pragma once

#include <napi.h>

#include "../decode/step_layers.h"
#include "../tensorrt/layer_run.h"

namespace tensorrt_node::binding {

// {layers: [{name, milliseconds}], runs, profiledRuns, information}: Float32Arrays with a time for each run.
Napi::Object describe(Napi::Env env, const tensorrt::LayerProfile& profile);
// {rows, parts: [{part, count, layers: [{name, milliseconds}], information}], steps}
Napi::Object describe(Napi::Env env, const decode::StepLayers& step);

}  // namespace tensorrt_node::binding
