// NativeBuildRequest as a struct. lib/ has checked the values; here their types are, as the process is at stake.
#pragma once

#include <napi.h>

#include <optional>
#include <string>
#include <vector>

#include "../tensorrt/build_control.h"
#include "../tensorrt/build_request.h"

namespace tensorrt_node::binding {

// All throw std::invalid_argument that names the property.
tensorrt::BuildRequest buildRequest(const Napi::Object& request);
// The bytes are copied. Nothing for null.
std::optional<tensorrt::Batch> batch(const Napi::Value& value);

// A property that must be there.
std::string textOf(const Napi::Object& object, const char* name);
int integerOf(const Napi::Object& object, const char* name);
std::vector<std::string> textsOf(const Napi::Object& object, const char* name);

}  // namespace tensorrt_node::binding
