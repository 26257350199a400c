// Number crunching of `quantizeModel`, each call on a thread of its own that has more to help it.
#pragma once

#include <napi.h>

namespace tensorrt_node::binding {

// Adds the functions that lib/quantize/native.ts describes to `exports`.
void defineQuantize(Napi::Env env, Napi::Object exports);

}  // namespace tensorrt_node::binding
