// An exclusive lock of a file that the kernel frees when its holder dies.
#pragma once

#include <napi.h>

namespace tensorrt_node::binding {

// (path: string) -> FileLock | null while anybody else holds it
Napi::Value tryLock(const Napi::CallbackInfo& info);

}  // namespace tensorrt_node::binding
