// Collects the times that TensorRT tells of an execution context's layers.
#pragma once

#include <NvInferRuntime.h>

#include <exception>
#include <string>
#include <unordered_map>
#include <vector>

#include "layer_times.h"

namespace tensorrt_node::tensorrt {

// For one context at a time, which must not outlive it.
class LayerProfiler final : public nvinfer1::IProfiler {
 public:
  // What is told from now on is of the next run.
  void beginRun() noexcept { ++runs_; }
  // Of all runs, in the order in which layers were first told of, and begins anew. Throws what telling failed with.
  std::vector<LayerTimes> take();

  void reportLayerTime(char const* layer, float milliseconds) noexcept override;

 private:
  void add(const char* layer, float milliseconds);

  std::size_t runs_ = 0;
  std::vector<LayerTimes> layers_;
  std::unordered_map<std::string, std::size_t> places_;
  std::exception_ptr failure_;
};

// Runs of the context from now on take the time of each layer; `profiler` must outlive it. TensorRT's events then stand
// between its layers.
void timeLayers(nvinfer1::IExecutionContext& context, LayerProfiler& profiler);
// Tells the profiler of the last run, which must be done. Throws TensorrtError.
void reportLayers(const nvinfer1::IExecutionContext& context);

}  // namespace tensorrt_node::tensorrt
