// An operator as a TensorRT plugin of the third generation. Nothing is thrown out of it: errors go to the log, and
// those of CUDA also to the LogCapture of the thread that called TensorRT.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "../../kernels/kernels.h"
#include "fields.h"
#include "operator.h"

namespace tensorrt_node::tensorrt::plugins {

// Of all plugins of this library, as ONNX nodes say in `plugin_namespace` and `plugin_version`.
constexpr const char* kNamespace = "tensorrt_node";
constexpr const char* kVersion = "1";
// What plans keep of a plugin beside its attributes: the format of them, raised when their meaning changes.
constexpr const char* kFormatField = "format";
constexpr std::int32_t kFormat = 1;

class Plugin final : public nvinfer1::IPluginV3,
                     public nvinfer1::IPluginV3OneCore,
                     public nvinfer1::IPluginV3OneBuild,
                     public nvinfer1::IPluginV3OneRuntime {
 public:
  Plugin(std::unique_ptr<Operator> wanted, nvinfer1::TensorRTPhase phase);

  nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept override;
  Plugin* clone() noexcept override;

  char const* getPluginName() const noexcept override { return operator_->name(); }
  char const* getPluginVersion() const noexcept override { return kVersion; }
  char const* getPluginNamespace() const noexcept override { return kNamespace; }

  int32_t getNbOutputs() const noexcept override { return operator_->outputs(); }
  int32_t getOutputDataTypes(nvinfer1::DataType* outputs, int32_t outputCount, nvinfer1::DataType const* inputs,
                             int32_t inputCount) const noexcept override;
  int32_t getOutputShapes(nvinfer1::DimsExprs const* inputs, int32_t inputCount, nvinfer1::DimsExprs const* shapeInputs,
                          int32_t shapeInputCount, nvinfer1::DimsExprs* outputs, int32_t outputCount,
                          nvinfer1::IExprBuilder& builder) noexcept override;
  bool supportsFormatCombination(int32_t position, nvinfer1::DynamicPluginTensorDesc const* tensors, int32_t inputCount,
                                 int32_t outputCount) noexcept override;
  int32_t configurePlugin(nvinfer1::DynamicPluginTensorDesc const*, int32_t, nvinfer1::DynamicPluginTensorDesc const*,
                          int32_t) noexcept override {
    return 0;
  }
  size_t getWorkspaceSize(nvinfer1::DynamicPluginTensorDesc const* inputs, int32_t inputCount,
                          nvinfer1::DynamicPluginTensorDesc const* outputs,
                          int32_t outputCount) const noexcept override;

  int32_t onShapeChange(nvinfer1::PluginTensorDesc const* inputs, int32_t inputCount,
                        nvinfer1::PluginTensorDesc const* outputs, int32_t outputCount) noexcept override;
  int32_t enqueue(nvinfer1::PluginTensorDesc const* inputDescriptions,
                  nvinfer1::PluginTensorDesc const* outputDescriptions, void const* const* inputs, void* const* outputs,
                  void* workspace, cudaStream_t stream) noexcept override;
  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext* context) noexcept override;
  nvinfer1::PluginFieldCollection const* getFieldsToSerialize() noexcept override;

 private:
  const std::unique_ptr<Operator> operator_;
  const nvinfer1::TensorRTPhase phase_;
  SavedFields saved_;
  // Of the context that it is attached to.
  std::shared_ptr<const kernels::Kernels> kernels_;
  // Of the last onShapeChange().
  std::vector<nvinfer1::Dims> inputDims_;
  std::vector<nvinfer1::Dims> outputDims_;
  kernels::ElementType type_ = kernels::ElementType::float16;
};

}  // namespace tensorrt_node::tensorrt::plugins
