#include "quantize_arguments.h"

#include <atomic>
#include <stdexcept>

namespace tensorrt_node::binding {

using namespace quantize;

std::span<std::byte> bytesIn(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsTypedArray()) return {};
  const auto array = value.As<Napi::TypedArray>();
  return {static_cast<std::byte*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
}

std::span<float> floatsIn(const Napi::Object& object, const char* name) {
  const std::span<std::byte> bytes = bytesIn(object, name);
  return {reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)};
}

std::int64_t integerIn(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::Number>().Int64Value();
}

std::string wordIn(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::String>().Utf8Value();
}

std::span<const std::int32_t> integersIn(const Napi::Object& object, const char* name) {
  const std::span<std::byte> bytes = bytesIn(object, name);
  return {reinterpret_cast<const std::int32_t*>(bytes.data()), bytes.size() / sizeof(std::int32_t)};
}

float realIn(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::Number>().FloatValue();
}

bool flagIn(const Napi::Object& object, const char* name) {
  return object.Get(name).ToBoolean();
}

FloatType floatType(const std::string& word) {
  if (word == "float32") return FloatType::float32;
  if (word == "float16") return FloatType::float16;
  if (word == "bfloat16") return FloatType::bfloat16;
  throw std::invalid_argument(word + " is no type of floats");
}

namespace {

CodeKind codeKind(const std::string& word) {
  if (word == "symmetric") return CodeKind::symmetric;
  if (word == "zeroPoints") return CodeKind::zeroPoints;
  if (word == "int8Rows") return CodeKind::int8Rows;
  if (word == "float8Rows") return CodeKind::float8Rows;
  throw std::invalid_argument(word + " is no kind of codes");
}

}  // namespace

Format formatIn(const Napi::Object& object) {
  const auto format = object.Get("format").As<Napi::Object>();
  return {.kind = codeKind(wordIn(format, "kind")),
          .bits = static_cast<int>(integerIn(format, "bits")),
          .block = integerIn(format, "block"),
          .scales = floatType(wordIn(format, "scales")),
          .search = flagIn(format, "search")};
}

QuantizedRows rowsIn(const Napi::Object& object) {
  return {bytesIn(object, "codes"), bytesIn(object, "scales"), bytesIn(object, "zeroPoints")};
}

Threads threadsIn(const Napi::Object& object) {
  const std::span<std::byte> stop = bytesIn(object, "stop");
  return {static_cast<unsigned>(integerIn(object, "threads")),
          // JavaScript writes it with Atomics.
          stop.empty() ? nullptr : reinterpret_cast<const std::atomic<std::int32_t>*>(stop.data())};
}

GptqWeights gptqWeightsIn(const Napi::Object& object) {
  return {floatsIn(object, "values"), integerIn(object, "outer"), integerIn(object, "inner")};
}

}  // namespace tensorrt_node::binding
