// Collects the times that TensorRT tells of an execution context's layers.
#pragma once

#include <NvInferRuntime.h>

#include <exception>
#include <string>
#include <unordered_map>
#include <vector>

namespace tensorrt_node::tensorrt {

struct LayerTimes {
  // TensorRT's; the layer's number in plans that were built to tell nothing.
  std::string name;
  // Of each run; what has a name in common is added up, as are the turns of a loop.
  std::vector<float> milliseconds;
};

// For one context, which must not outlive it.
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

}  // namespace tensorrt_node::tensorrt
