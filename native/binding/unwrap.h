// From JavaScript values to C++ ones: objects of the addon's classes, and sizes.
#pragma once

#include <napi.h>

#include <cstddef>
#include <stdexcept>
#include <string>

namespace tensorrt_node::binding {

// A size or an offset. lib/native passes safe integers of at least 0.
inline std::size_t byteCount(const Napi::Value& value) {
  return static_cast<std::size_t>(value.As<Napi::Number>().DoubleValue());
}

// The C++ object inside a JavaScript one of its class; any other is refused.
// `Object` is an ObjectWrap that calls TypeTag(&Object::kTag) in its constructor and has `kName`.
template <typename Object>
Object& unwrap(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&Object::kTag))
    throw std::invalid_argument(std::string("expected an object of the addon's class ") + Object::kName);
  return *Object::Unwrap(value.As<Napi::Object>());
}

}  // namespace tensorrt_node::binding
