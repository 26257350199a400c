// Collecting what the GPU does, for JavaScript: lib/native/profiler_addon.ts says how.
#pragma once

#include <napi.h>

namespace tensorrt_node::binding {

// (options) -> Promise<{collection, library, version}>
Napi::Value startProfiler(const Napi::CallbackInfo& info);
// (collection) -> Promise<undefined>
Napi::Value stopProfiler(const Napi::CallbackInfo& info);
// (collection, most) -> {records, names, dropped}
Napi::Value takeActivities(const Napi::CallbackInfo& info);

}  // namespace tensorrt_node::binding
