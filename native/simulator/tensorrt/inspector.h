// IEngineInspector: an engine in JSON, in TensorRT's shape.
#pragma once

#include <NvInferRuntime.h>

#include <string>

#include "not_simulated.h"

namespace simulated_tensorrt {

class Engine;

#define INTERFACE "IEngineInspector"
class Inspector final : public nvinfer1::IEngineInspector, public nvinfer1::apiv::VEngineInspector {
 public:
  explicit Inspector(const Engine& engine) : engine_(engine) { mImpl = this; }

  nvinfer1::IEngineInspector* getPImpl() noexcept override { return this; }
  bool setExecutionContext(nvinfer1::IExecutionContext const* context) noexcept override {
    context_ = context;
    return true;
  }
  nvinfer1::IExecutionContext const* getExecutionContext() const noexcept override { return context_; }
  char const* getLayerInformation(int32_t layer, nvinfer1::LayerInformationFormat format) const noexcept override;
  // Beside TensorRT's "Layers" and "Bindings" there is "Simulated": how the plan was built.
  char const* getEngineInformation(nvinfer1::LayerInformationFormat format) const noexcept override;
  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }

 private:
  const Engine& engine_;
  const nvinfer1::IExecutionContext* context_ = nullptr;
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
  mutable std::string text_;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
