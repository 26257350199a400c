#include "layer_timer.h"

#include <algorithm>
#include <utility>

#include "device.h"

// The simulated driver has it under its first name, which newer headers map to another.
#undef cuEventElapsedTime
extern "C" CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end);

namespace simulated_tensorrt {

namespace {

// What a clock cannot tell from nothing takes time nevertheless.
constexpr float leastMilliseconds = 1e-6F;

}  // namespace

Mark::Mark() {
  cuCtxGetCurrent(&context_);
  if (cuEventCreate(&event_, CU_EVENT_DEFAULT) != CUDA_SUCCESS) event_ = nullptr;
}

Mark::~Mark() {
  if (event_ == nullptr) return;
  CUcontext popped = nullptr;
  const bool pushed = !hasContext() && cuCtxPushCurrent(context_) == CUDA_SUCCESS;
  cuEventDestroy(event_);
  if (pushed) cuCtxPopCurrent(&popped);
}

Mark::Mark(Mark&& other) noexcept : context_(other.context_), event_(std::exchange(other.event_, nullptr)) {}

Mark& Mark::operator=(Mark&& other) noexcept {
  std::swap(context_, other.context_);
  std::swap(event_, other.event_);
  return *this;
}

bool Mark::record(CUstream stream) const {
  return event_ != nullptr && cuEventRecord(event_, stream) == CUDA_SUCCESS;
}

bool Mark::since(const Mark& start, float& milliseconds) const {
  return cuEventElapsedTime(&milliseconds, start.event_, event_) == CUDA_SUCCESS;
}

bool LayerTimer::time(CUstream stream, std::vector<std::string> layers, const std::function<bool()>& queue) {
  Span span{std::move(layers), {}, {}};
  if (!span.start.record(stream) || !queue() || !span.end.record(stream)) return false;
  spans_.push_back(std::move(span));
  return true;
}

bool LayerTimer::report(nvinfer1::IProfiler& profiler) const {
  std::vector<float> shares;
  for (const Span& span : spans_) {
    float milliseconds = 0;
    if (!span.end.since(span.start, milliseconds)) return false;
    shares.push_back(std::max(milliseconds / static_cast<float>(span.layers.size()), leastMilliseconds));
  }
  for (std::size_t i = 0; i < spans_.size(); ++i)
    for (const std::string& layer : spans_[i].layers) profiler.reportLayerTime(layer.c_str(), shares[i]);
  return !spans_.empty();
}

}  // namespace simulated_tensorrt
