// ITensor and ILayer of a network definition.
#pragma once

#include <NvInfer.h>

#include <string>
#include <vector>

#include "graph.h"
#include "not_simulated.h"

namespace simulated_tensorrt {

#define INTERFACE "ITensor"
class NetworkTensor final : public nvinfer1::ITensor, public nvinfer1::apiv::VTensor {
 public:
  enum class Role { input, output, inner };

  NetworkTensor(std::string name, Role role, bool isShape, const Info& info, std::vector<std::string> dimNames);

  void setName(char const* name) noexcept override { name_ = name; }
  char const* getName() const noexcept override { return name_.c_str(); }
  nvinfer1::Dims getDimensions() const noexcept override { return dimsOf(dims_); }
  DataType getType() const noexcept override { return type_; }
  bool isNetworkInput() const noexcept override { return role_ == Role::input; }
  bool isNetworkOutput() const noexcept override { return role_ == Role::output; }
  nvinfer1::TensorLocation getLocation() const noexcept override {
    return isShape_ ? nvinfer1::TensorLocation::kHOST : nvinfer1::TensorLocation::kDEVICE;
  }
  bool isShapeTensor() const noexcept override { return isShape_; }
  bool isExecutionTensor() const noexcept override { return !isShape_; }
  char const* getDimensionName(int32_t index) const noexcept override;
  void setDimensionName(int32_t index, char const* name) noexcept override;
  void setAllowedFormats(nvinfer1::TensorFormats formats) noexcept override { formats_ = formats; }
  nvinfer1::TensorFormats getAllowedFormats() const noexcept override { return formats_; }

  NOT_SIMULATED(void, setDimensions, (nvinfer1::Dims const&), )
  NOT_SIMULATED(void, setType, (nvinfer1::DataType), )
  NOT_SIMULATED(bool, setDynamicRange, (float, float), )
  NOT_SIMULATED(void, setBroadcastAcrossBatch, (bool), )
  NOT_SIMULATED(bool, getBroadcastAcrossBatch, (), const)
  NOT_SIMULATED(void, setLocation, (nvinfer1::TensorLocation), )
  NOT_SIMULATED(bool, dynamicRangeIsSet, (), const)
  NOT_SIMULATED(void, resetDynamicRange, (), )
  NOT_SIMULATED(float, getDynamicRangeMin, (), const)
  NOT_SIMULATED(float, getDynamicRangeMax, (), const)

 private:
  std::string name_;
  const Role role_;
  const bool isShape_;
  const DataType type_;
  const Shape dims_;
  std::vector<std::string> dimNames_;
  nvinfer1::TensorFormats formats_ = 1;
};
#undef INTERFACE

#define INTERFACE "ILayer"
class Layer final : public nvinfer1::ILayer, public nvinfer1::apiv::VLayer {
 public:
  Layer(const Node& node, std::vector<nvinfer1::ITensor*> inputs, std::vector<nvinfer1::ITensor*> outputs);

  nvinfer1::LayerType getType() const noexcept override;
  void setName(char const* name) noexcept override { name_ = name; }
  char const* getName() const noexcept override { return name_.c_str(); }
  int32_t getNbInputs() const noexcept override { return static_cast<int32_t>(inputs_.size()); }
  nvinfer1::ITensor* getInput(int32_t index) const noexcept override { return at(inputs_, index); }
  int32_t getNbOutputs() const noexcept override { return static_cast<int32_t>(outputs_.size()); }
  nvinfer1::ITensor* getOutput(int32_t index) const noexcept override { return at(outputs_, index); }
  void setPrecision(DataType type) noexcept override { precision_ = type; }
  DataType getPrecision() const noexcept override { return precision_.value_or(DataType::kFLOAT); }
  bool precisionIsSet() const noexcept override { return precision_.has_value(); }
  void resetPrecision() noexcept override { precision_.reset(); }
  void setOutputType(int32_t index, DataType type) noexcept override;
  DataType getOutputType(int32_t index) const noexcept override;
  bool outputTypeIsSet(int32_t) const noexcept override { return outputType_.has_value(); }
  void resetOutputType(int32_t) noexcept override { outputType_.reset(); }
  void setMetadata(char const* metadata) noexcept override { metadata_ = metadata; }
  char const* getMetadata() const noexcept override { return metadata_.c_str(); }

  NOT_SIMULATED(void, setInput, (int32_t, nvinfer1::ITensor&), )
  NOT_SIMULATED(bool, setNbRanks, (int32_t), )
  NOT_SIMULATED(int32_t, getNbRanks, (), const)

 private:
  static nvinfer1::ITensor* at(const std::vector<nvinfer1::ITensor*>& tensors, int32_t index) {
    return index >= 0 && static_cast<std::size_t>(index) < tensors.size() ? tensors[static_cast<std::size_t>(index)]
                                                                          : nullptr;
  }

  std::string name_;
  const std::string op_;
  std::string metadata_;
  const std::vector<nvinfer1::ITensor*> inputs_;
  const std::vector<nvinfer1::ITensor*> outputs_;
  std::optional<DataType> precision_;
  std::optional<DataType> outputType_;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
