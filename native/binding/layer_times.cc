#include "layer_times.h"

#include <algorithm>
#include <vector>

namespace tensorrt_node::binding {
namespace {

Napi::Float32Array arrayOf(Napi::Env env, const std::vector<float>& values) {
  Napi::Float32Array array = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Array arrayOf(Napi::Env env, const std::vector<tensorrt::LayerTimes>& times) {
  Napi::Array layers = Napi::Array::New(env, times.size());
  for (std::uint32_t i = 0; i < times.size(); ++i) {
    Napi::Object layer = Napi::Object::New(env);
    layer.Set("name", Napi::String::New(env, times[i].name));
    layer.Set("milliseconds", arrayOf(env, times[i].milliseconds));
    layers.Set(i, layer);
  }
  return layers;
}

}  // namespace

Napi::Object describe(Napi::Env env, const tensorrt::LayerProfile& profile) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("layers", arrayOf(env, profile.layers));
  result.Set("runs", arrayOf(env, profile.runs));
  result.Set("profiledRuns", arrayOf(env, profile.profiledRuns));
  result.Set("information", Napi::String::New(env, profile.information));
  return result;
}

Napi::Object describe(Napi::Env env, const decode::StepLayers& step) {
  Napi::Array parts = Napi::Array::New(env, step.parts.size());
  for (std::uint32_t i = 0; i < step.parts.size(); ++i) {
    const decode::PartLayers& given = step.parts[i];
    Napi::Object part = Napi::Object::New(env);
    part.Set("part", Napi::Number::New(env, static_cast<double>(given.part)));
    part.Set("count", Napi::Number::New(env, static_cast<double>(given.count)));
    part.Set("layers", arrayOf(env, given.layers));
    part.Set("information", Napi::String::New(env, given.information));
    parts.Set(i, part);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("rows", Napi::Number::New(env, step.rows));
  result.Set("parts", parts);
  result.Set("steps", arrayOf(env, step.steps));
  return result;
}

}  // namespace tensorrt_node::binding
