// Makes the plugins of one operator.
#pragma once

#include <NvInferRuntime.h>

#include "operator.h"

namespace tensorrt_node::tensorrt::plugins {

class Creator final : public nvinfer1::IPluginCreatorV3One {
 public:
  explicit Creator(OperatorType type);

  nvinfer1::IPluginV3* createPlugin(char const* name, nvinfer1::PluginFieldCollection const* fields,
                                    nvinfer1::TensorRTPhase phase) noexcept override;
  nvinfer1::PluginFieldCollection const* getFieldNames() noexcept override { return &attributes_; }
  char const* getPluginName() const noexcept override { return type_.name; }
  char const* getPluginVersion() const noexcept override;
  char const* getPluginNamespace() const noexcept override;

 private:
  const OperatorType type_;
  const nvinfer1::PluginFieldCollection attributes_;
};

}  // namespace tensorrt_node::tensorrt::plugins
