#include "engine_info.h"

#include <cmath>
#include <stdexcept>

#include "../tensorrt/data_type.h"

namespace tensorrt_node::binding {
namespace {

Napi::Value number(Napi::Env env, std::int64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Object describe(Napi::Env env, const tensorrt::Range& range) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("min", dimsArray(env, range.min));
  result.Set("opt", dimsArray(env, range.opt));
  result.Set("max", dimsArray(env, range.max));
  return result;
}

Napi::Object describe(Napi::Env env, const tensorrt::TensorInfo& tensor) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("name", Napi::String::New(env, tensor.name));
  result.Set("mode", Napi::String::New(env, tensor.input ? "input" : "output"));
  result.Set("type", Napi::String::New(env, tensorrt::typeName(tensor.type)));
  result.Set("dims", dimsArray(env, tensor.dims));
  result.Set("location", Napi::String::New(env, tensor.host ? "host" : "device"));
  result.Set("isShapeTensor", Napi::Boolean::New(env, tensor.shapeTensor));
  Napi::Array profiles = Napi::Array::New(env);
  for (const tensorrt::ProfileRange& range : tensor.profiles) {
    Napi::Object profile = describe(env, range.dims);
    if (range.values) profile.Set("values", describe(env, *range.values));
    profiles.Set(profiles.Length(), profile);
  }
  result.Set("profiles", profiles);
  return result;
}

}  // namespace

Napi::Object describe(Napi::Env env, const tensorrt::EngineInfo& info) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("name", Napi::String::New(env, info.name));
  Napi::Array tensors = Napi::Array::New(env);
  for (const tensorrt::TensorInfo& tensor : info.tensors) tensors.Set(tensors.Length(), describe(env, tensor));
  result.Set("tensors", tensors);
  result.Set("profiles", number(env, info.profiles));
  result.Set("layers", number(env, info.layers));
  result.Set("deviceMemoryBytes", number(env, info.deviceMemoryBytes));
  result.Set("streamableWeightsBytes", number(env, info.streamableWeightsBytes));
  result.Set("refittable", Napi::Boolean::New(env, info.refittable));
  result.Set("hardwareCompatibility", Napi::String::New(env, info.hardwareCompatibility));
  return result;
}

Napi::Array dimsArray(Napi::Env env, std::span<const std::int64_t> dims) {
  Napi::Array result = Napi::Array::New(env, dims.size());
  for (std::uint32_t i = 0; i < dims.size(); ++i) result.Set(i, number(env, dims[i]));
  return result;
}

tensorrt::Shape shape(const Napi::Value& dims) {
  if (!dims.IsArray()) throw std::invalid_argument("expected an array of dimensions");
  const auto given = dims.As<Napi::Array>();
  tensorrt::Shape result(given.Length());
  for (std::uint32_t i = 0; i < result.size(); ++i) {
    const Napi::Value dim = given.Get(i);
    const double value = dim.IsNumber() ? dim.As<Napi::Number>().DoubleValue() : -1;
    if (!(value >= 0 && value <= 9007199254740991) || std::trunc(value) != value)
      throw std::invalid_argument("a dimension is not an integer from 0 to 2 ** 53 - 1");
    result[i] = static_cast<std::int64_t>(value);
  }
  return result;
}

}  // namespace tensorrt_node::binding
