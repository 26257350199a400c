// An engine's description as a JavaScript object.
#pragma once

#include <napi.h>

#include <span>

#include "../tensorrt/engine.h"

namespace tensorrt_node::binding {

Napi::Object describe(Napi::Env env, const tensorrt::EngineInfo& info);

Napi::Array dimsArray(Napi::Env env, std::span<const std::int64_t> dims);
// Integers that a double holds exactly; std::invalid_argument for anything else.
tensorrt::Shape shape(const Napi::Value& dims);

}  // namespace tensorrt_node::binding
