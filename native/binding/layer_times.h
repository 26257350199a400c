// Times of layers as JavaScript has them.
#pragma once

#include <napi.h>

#include "../tensorrt/layer_run.h"

namespace tensorrt_node::binding {

// {layers: [{name, milliseconds}], runs, profiledRuns, information}: Float32Arrays with a time for each run.
Napi::Object describe(Napi::Env env, const tensorrt::LayerProfile& profile);

}  // namespace tensorrt_node::binding
