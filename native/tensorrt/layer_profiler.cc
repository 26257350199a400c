#include "layer_profiler.h"

#include <utility>

#include "failure.h"

namespace tensorrt_node::tensorrt {

void LayerProfiler::reportLayerTime(char const* layer, float milliseconds) noexcept {
  try {
    add(layer == nullptr ? "" : layer, milliseconds);
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void LayerProfiler::add(const char* layer, float milliseconds) {
  if (runs_ == 0) return;
  const auto [place, added] = places_.try_emplace(layer, layers_.size());
  if (added) layers_.push_back({layer, {}});
  std::vector<float>& times = layers_[place->second].milliseconds;
  times.resize(runs_);
  times.back() += milliseconds;
}

std::vector<LayerTimes> LayerProfiler::take() {
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  // One that was not in the last runs.
  for (LayerTimes& layer : layers_) layer.milliseconds.resize(runs_);
  runs_ = 0;
  places_.clear();
  return std::exchange(layers_, {});
}

void timeLayers(nvinfer1::IExecutionContext& context, LayerProfiler& profiler) {
  context.setProfiler(&profiler);
  // Else each enqueueV3() waits for the device.
  context.setEnqueueEmitsProfile(false);
}

void reportLayers(const nvinfer1::IExecutionContext& context) {
  const LogCapture log;
  if (!context.reportToProfiler()) throwFailure("reportToProfiler", log, "TensorRT does not tell the layers' times");
}

}  // namespace tensorrt_node::tensorrt
