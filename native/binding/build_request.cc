#include "build_request.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "../tensorrt/data_type.h"
#include "unwrap.h"

namespace tensorrt_node::binding {
namespace {

[[noreturn]] void refuse(const char* name, const char* expected) {
  throw std::invalid_argument(std::string(name) + ": expected " + expected);
}

Napi::Object objectOf(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) refuse(name, "an object");
  return value.As<Napi::Object>();
}

Napi::Array arrayOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsArray()) refuse(name, "an array");
  return value.As<Napi::Array>();
}

bool flagOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsBoolean()) refuse(name, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

// Nothing for a property that is missing or undefined.
template <typename Read>
auto optional(const Napi::Object& object, const char* name, Read&& read)
    -> std::optional<decltype(read(object, name))> {
  if (object.Get(name).IsUndefined()) return std::nullopt;
  return read(object, name);
}

std::vector<std::int64_t> integersOf(const Napi::Object& object, const char* name) {
  const Napi::Array array = arrayOf(object, name);
  std::vector<std::int64_t> integers;
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value each = array.Get(i);
    if (!each.IsNumber()) refuse(name, "an array of integers");
    integers.push_back(each.As<Napi::Number>().Int64Value());
  }
  return integers;
}

std::size_t sizeOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) refuse(name, "a number");
  return byteCount(value);
}

nvinfer1::DataType typeOf(const Napi::Object& object, const char* name) {
  const auto type = tensorrt::dataType(textOf(object, name));
  if (!type) refuse(name, "a tensor type");
  return *type;
}

tensorrt::RequestedProfile profile(const Napi::Object& object) {
  tensorrt::RequestedProfile result;
  const Napi::Array names = object.GetPropertyNames();
  for (std::uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString().Utf8Value();
    const Napi::Object range = objectOf(object.Get(name), "profiles");
    result[name] = {{integersOf(range, "min"), integersOf(range, "opt"), integersOf(range, "max")},
                    optional(range, "values", flagOf).value_or(false)};
  }
  return result;
}

tensorrt::CalibrationRequest calibration(const Napi::Object& request, const char* name) {
  const Napi::Object object = objectOf(request.Get(name), name);
  tensorrt::CalibrationRequest result;
  const std::string algorithm = textOf(object, "algorithm");
  if (algorithm != "entropy2" && algorithm != "min-max") refuse("algorithm", "'entropy2' or 'min-max'");
  result.minMax = algorithm == "min-max";
  result.batchSize = integerOf(object, "batchSize");
  result.cache = optional(object, "cache", textOf);
  result.cacheOut = optional(object, "cacheOut", textOf);
  return result;
}

}  // namespace

std::string textOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsString()) refuse(name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

int integerOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) refuse(name, "an integer");
  return value.As<Napi::Number>().Int32Value();
}

std::vector<std::string> textsOf(const Napi::Object& object, const char* name) {
  const Napi::Array array = arrayOf(object, name);
  std::vector<std::string> texts;
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value each = array.Get(i);
    if (!each.IsString()) refuse(name, "an array of strings");
    texts.push_back(each.As<Napi::String>().Utf8Value());
  }
  return texts;
}

tensorrt::BuildRequest buildRequest(const Napi::Object& request) {
  tensorrt::BuildRequest result;
  result.model = textOf(request, "model");
  result.rewrittenModel = optional(request, "rewrittenModel", textOf);
  result.plan = textOf(request, "plan");
  result.timingCache = optional(request, "timingCache", textOf);
  result.timingCacheOut = optional(request, "timingCacheOut", textOf);
  result.stronglyTyped = flagOf(request, "stronglyTyped");
  result.flags = textsOf(request, "flags");
  result.tacticSources = optional(request, "tacticSources", textsOf);
  result.optimizationLevel = optional(request, "optimizationLevel", integerOf);
  result.workspaceBytes = optional(request, "workspace", sizeOf);
  result.hardwareCompatibility = optional(request, "hardwareCompatibility", textOf);
  result.profilingVerbosity = textOf(request, "profilingVerbosity");
  result.maxAuxStreams = optional(request, "maxAuxStreams", integerOf);
  result.averageTimingIterations = optional(request, "averageTimingIterations", integerOf);
  result.tilingOptimizationLevel = optional(request, "tilingOptimizationLevel", textOf);
  const Napi::Array profiles = arrayOf(request, "profiles");
  for (std::uint32_t i = 0; i < profiles.Length(); ++i)
    result.profiles.push_back(profile(objectOf(profiles.Get(i), "profiles")));
  const Napi::Array layers = arrayOf(request, "layers");
  for (std::uint32_t i = 0; i < layers.Length(); ++i) {
    const Napi::Object layer = objectOf(layers.Get(i), "layers");
    result.layers.push_back(
        {textOf(layer, "pattern"), optional(layer, "precision", typeOf), optional(layer, "outputType", typeOf)});
  }
  result.calibration = optional(request, "calibration", calibration);
  return result;
}

std::optional<tensorrt::Batch> batch(const Napi::Value& value) {
  if (value.IsNull()) return std::nullopt;
  const Napi::Object object = objectOf(value, "batch");
  tensorrt::Batch result;
  const Napi::Array names = object.GetPropertyNames();
  for (std::uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString().Utf8Value();
    const Napi::Object tensor = objectOf(object.Get(name), "batch");
    Napi::ArrayBuffer buffer = arrayBuffer(tensor.Get("buffer"));
    const std::size_t offset = sizeOf(tensor, "byteOffset");
    const std::size_t bytes = sizeOf(tensor, "byteLength");
    if (offset > buffer.ByteLength() || bytes > buffer.ByteLength() - offset)
      throw std::out_of_range("batch: input '" + name + "' is not within its buffer");
    const auto* const begin = static_cast<const std::byte*>(buffer.Data()) + offset;
    result[name] = {{begin, begin + bytes}, integersOf(tensor, "dims")};
  }
  return result;
}

}  // namespace tensorrt_node::binding
