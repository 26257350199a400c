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

}  // namespace

Napi::Object describe(Napi::Env env, const tensorrt::LayerProfile& profile) {
  Napi::Array layers = Napi::Array::New(env, profile.layers.size());
  for (std::uint32_t i = 0; i < profile.layers.size(); ++i) {
    Napi::Object layer = Napi::Object::New(env);
    layer.Set("name", Napi::String::New(env, profile.layers[i].name));
    layer.Set("milliseconds", arrayOf(env, profile.layers[i].milliseconds));
    layers.Set(i, layer);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("layers", layers);
  result.Set("runs", arrayOf(env, profile.runs));
  result.Set("profiledRuns", arrayOf(env, profile.profiledRuns));
  result.Set("information", Napi::String::New(env, profile.information));
  return result;
}

}  // namespace tensorrt_node::binding
