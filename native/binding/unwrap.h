// From JavaScript values to C++ ones: objects of the addon's classes, and sizes.
#pragma once

#include <napi.h>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace tensorrt_node::binding {

// A size or an offset. lib/native passes safe integers of at least 0; anything else is refused, as memory is at stake.
inline std::size_t byteCount(const Napi::Value& value) {
  const double count = value.As<Napi::Number>().DoubleValue();
  constexpr double most = 9007199254740991;
  if (!(count >= 0 && count <= most)) throw std::invalid_argument("a size is not an integer from 0 to 2 ** 53 - 1");
  return static_cast<std::size_t>(count);
}

// An ArrayBuffer. A SharedArrayBuffer is none.
inline Napi::ArrayBuffer arrayBuffer(const Napi::Value& value) {
  if (!value.IsArrayBuffer()) throw std::invalid_argument("expected an ArrayBuffer");
  return value.As<Napi::ArrayBuffer>();
}

// The C++ object inside a JavaScript one of its class; any other is refused.
// `Object` is an ObjectWrap that calls TypeTag(&Object::kTag) in its constructor and has `kName`.
// Of a property; good as long as the array.
inline std::span<const std::byte> bytesOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw std::invalid_argument(std::string(name) + ": expected a Uint8Array");
  const auto array = value.As<Napi::Uint8Array>();
  return std::as_bytes(std::span(array.Data(), array.ByteLength()));
}

template <typename Object>
Object& unwrap(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&Object::kTag))
    throw std::invalid_argument(std::string("expected an object of the addon's class ") + Object::kName);
  return *Object::Unwrap(value.As<Napi::Object>());
}

}  // namespace tensorrt_node::binding
