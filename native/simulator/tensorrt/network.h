// INetworkDefinition with its tensors and layers, over a graph that the parser brings.
#pragma once

#include <NvInfer.h>

#include <deque>
#include <memory>
#include <string>

#include "graph.h"
#include "layer.h"

namespace simulated_tensorrt {

#define INTERFACE "INetworkDefinition"
class Network final : public nvinfer1::INetworkDefinition, public nvinfer1::apiv::VNetworkDefinition {
 public:
  Network(nvinfer1::IBuilder& builder, nvinfer1::NetworkDefinitionCreationFlags flags);

  // What the parser read; throws NodeError, std::runtime_error.
  void take(Graph graph);
  // With what the user wished of its layers.
  Graph graph() const;

  int32_t getNbLayers() const noexcept override { return static_cast<int32_t>(layers_.size()); }
  nvinfer1::ILayer* getLayer(int32_t index) const noexcept override;
  int32_t getNbInputs() const noexcept override { return static_cast<int32_t>(graph_.inputs.size()); }
  nvinfer1::ITensor* getInput(int32_t index) const noexcept override;
  int32_t getNbOutputs() const noexcept override { return static_cast<int32_t>(graph_.outputs.size()); }
  nvinfer1::ITensor* getOutput(int32_t index) const noexcept override;
  void setName(char const* name) noexcept override { graph_.name = name; }
  char const* getName() const noexcept override { return graph_.name.c_str(); }
  bool hasImplicitBatchDimension() const noexcept override { return false; }
  nvinfer1::IBuilder& getBuilder() const noexcept override { return builder_; }
  nvinfer1::NetworkDefinitionCreationFlags getFlags() const noexcept override { return flags_; }
  bool getFlag(nvinfer1::NetworkDefinitionCreationFlag flag) const noexcept override {
    return (flags_ >> static_cast<int>(flag) & 1) != 0;
  }
  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }

  NOT_SIMULATED(nvinfer1::ITensor*, addInput, (char const*, nvinfer1::DataType, nvinfer1::Dims const&), )
  NOT_SIMULATED(void, markOutput, (nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IActivationLayer*, addActivation, (nvinfer1::ITensor&, nvinfer1::ActivationType), )
  NOT_SIMULATED(nvinfer1::ILRNLayer*, addLRN, (nvinfer1::ITensor&, int64_t, float, float, float), )
  NOT_SIMULATED(nvinfer1::IScaleLayer*, addScale,
                (nvinfer1::ITensor&, nvinfer1::ScaleMode, nvinfer1::Weights, nvinfer1::Weights, nvinfer1::Weights), )
  NOT_SIMULATED(nvinfer1::ISoftMaxLayer*, addSoftMax, (nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IConcatenationLayer*, addConcatenation, (nvinfer1::ITensor* const*, int32_t), )
  NOT_SIMULATED(nvinfer1::IElementWiseLayer*, addElementWise,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ElementWiseOperation), )
  NOT_SIMULATED(nvinfer1::IUnaryLayer*, addUnary, (nvinfer1::ITensor&, nvinfer1::UnaryOperation), )
  NOT_SIMULATED(nvinfer1::IShuffleLayer*, addShuffle, (nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IReduceLayer*, addReduce, (nvinfer1::ITensor&, nvinfer1::ReduceOperation, uint32_t, bool), )
  NOT_SIMULATED(nvinfer1::ITopKLayer*, addTopK, (nvinfer1::ITensor&, nvinfer1::TopKOperation, int32_t, uint32_t), )
  NOT_SIMULATED(nvinfer1::IGatherLayer*, addGather, (nvinfer1::ITensor&, nvinfer1::ITensor&, int32_t), )
  NOT_SIMULATED(nvinfer1::IRaggedSoftMaxLayer*, addRaggedSoftMax, (nvinfer1::ITensor&, nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IMatrixMultiplyLayer*, addMatrixMultiply,
                (nvinfer1::ITensor&, nvinfer1::MatrixOperation, nvinfer1::ITensor&, nvinfer1::MatrixOperation), )
  NOT_SIMULATED(nvinfer1::IConstantLayer*, addConstant, (nvinfer1::Dims const&, nvinfer1::Weights), )
  NOT_SIMULATED(nvinfer1::IIdentityLayer*, addIdentity, (nvinfer1::ITensor&), )
  NOT_SIMULATED(void, removeTensor, (nvinfer1::ITensor&), )
  NOT_SIMULATED(void, unmarkOutput, (nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IPluginV2Layer*, addPluginV2, (nvinfer1::ITensor* const*, int32_t, nvinfer1::IPluginV2&), )
  NOT_SIMULATED(nvinfer1::IPluginV3Layer*, addPluginV3,
                (nvinfer1::ITensor* const*, int32_t, nvinfer1::ITensor* const*, int32_t, nvinfer1::IPluginV3&), )
  NOT_SIMULATED(nvinfer1::ISliceLayer*, addSlice,
                (nvinfer1::ITensor&, nvinfer1::Dims const&, nvinfer1::Dims const&, nvinfer1::Dims const&), )
  NOT_SIMULATED(nvinfer1::IShapeLayer*, addShape, (nvinfer1::ITensor&), )
  NOT_SIMULATED(bool, markOutputForShapes, (nvinfer1::ITensor&), )
  NOT_SIMULATED(bool, unmarkOutputForShapes, (nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IParametricReLULayer*, addParametricReLU, (nvinfer1::ITensor&, nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IConvolutionLayer*, addConvolutionNd,
                (nvinfer1::ITensor&, int64_t, nvinfer1::Dims const&, nvinfer1::Weights, nvinfer1::Weights), )
  NOT_SIMULATED(nvinfer1::IPoolingLayer*, addPoolingNd,
                (nvinfer1::ITensor&, nvinfer1::PoolingType, nvinfer1::Dims const&), )
  NOT_SIMULATED(nvinfer1::IDeconvolutionLayer*, addDeconvolutionNd,
                (nvinfer1::ITensor&, int64_t, nvinfer1::Dims const&, nvinfer1::Weights, nvinfer1::Weights), )
  NOT_SIMULATED(nvinfer1::IScaleLayer*, addScaleNd,
                (nvinfer1::ITensor&, nvinfer1::ScaleMode, nvinfer1::Weights, nvinfer1::Weights, nvinfer1::Weights,
                 int32_t), )
  NOT_SIMULATED(nvinfer1::IResizeLayer*, addResize, (nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::ILoop*, addLoop, (), )
  NOT_SIMULATED(nvinfer1::ISelectLayer*, addSelect, (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IFillLayer*, addFill, (nvinfer1::Dims const&, nvinfer1::FillOperation), )
  NOT_SIMULATED(nvinfer1::IPaddingLayer*, addPaddingNd,
                (nvinfer1::ITensor&, nvinfer1::Dims const&, nvinfer1::Dims const&), )
  NOT_SIMULATED(bool, setWeightsName, (nvinfer1::Weights, char const*), )
  NOT_SIMULATED(nvinfer1::IDequantizeLayer*, addDequantize, (nvinfer1::ITensor&, nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IQuantizeLayer*, addQuantize, (nvinfer1::ITensor&, nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IGatherLayer*, addGatherV2, (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::GatherMode), )
  NOT_SIMULATED(nvinfer1::IIfConditional*, addIfConditional, (), )
  NOT_SIMULATED(nvinfer1::IScatterLayer*, addScatter,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ScatterMode), )
  NOT_SIMULATED(nvinfer1::IEinsumLayer*, addEinsum, (nvinfer1::ITensor* const*, int32_t, char const*), )
  NOT_SIMULATED(nvinfer1::IAssertionLayer*, addAssertion, (nvinfer1::ITensor&, char const*), )
  NOT_SIMULATED(nvinfer1::IOneHotLayer*, addOneHot,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ITensor&, int32_t), )
  NOT_SIMULATED(nvinfer1::INonZeroLayer*, addNonZero, (nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IGridSampleLayer*, addGridSample, (nvinfer1::ITensor&, nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::INMSLayer*, addNMS, (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IReverseSequenceLayer*, addReverseSequence, (nvinfer1::ITensor&, nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::INormalizationLayer*, addNormalization,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ITensor&, uint32_t), )
  NOT_SIMULATED(nvinfer1::ICastLayer*, addCast, (nvinfer1::ITensor&, nvinfer1::DataType), )
  NOT_SIMULATED(nvinfer1::IQuantizeLayer*, addQuantizeV2,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::DataType), )
  NOT_SIMULATED(nvinfer1::IDequantizeLayer*, addDequantizeV2,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::DataType), )
  NOT_SIMULATED(nvinfer1::IFillLayer*, addFillV2,
                (nvinfer1::Dims const&, nvinfer1::FillOperation, nvinfer1::DataType), )
  NOT_SIMULATED(bool, markDebug, (nvinfer1::ITensor&), )
  NOT_SIMULATED(bool, unmarkDebug, (nvinfer1::ITensor&), )
  NOT_SIMULATED(bool, isDebugTensor, (nvinfer1::ITensor const&), const)
  NOT_SIMULATED(bool, markWeightsRefittable, (char const*), )
  NOT_SIMULATED(bool, unmarkWeightsRefittable, (char const*), )
  NOT_SIMULATED(bool, areWeightsMarkedRefittable, (char const*), const)
  NOT_SIMULATED(nvinfer1::ISqueezeLayer*, addSqueeze, (nvinfer1::ITensor&, nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IUnsqueezeLayer*, addUnsqueeze, (nvinfer1::ITensor&, nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IDynamicQuantizeLayer*, addDynamicQuantize,
                (nvinfer1::ITensor&, int32_t, int32_t, nvinfer1::DataType, nvinfer1::DataType), )
  NOT_SIMULATED(nvinfer1::ICumulativeLayer*, addCumulative,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::CumulativeOperation, bool, bool), )
  NOT_SIMULATED(bool, markUnfusedTensorsAsDebugTensors, (), )
  NOT_SIMULATED(bool, unmarkUnfusedTensorsAsDebugTensors, (), )
  NOT_SIMULATED(nvinfer1::ITopKLayer*, addTopKV2,
                (nvinfer1::ITensor&, nvinfer1::TopKOperation, int32_t, uint32_t, nvinfer1::DataType), )
  NOT_SIMULATED(nvinfer1::INonZeroLayer*, addNonZeroV2, (nvinfer1::ITensor&, nvinfer1::DataType), )
  NOT_SIMULATED(nvinfer1::INMSLayer*, addNMSV2,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::DataType), )
  NOT_SIMULATED(nvinfer1::IAttention*, addAttention,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::AttentionNormalizationOp,
                 bool), )
  NOT_SIMULATED(nvinfer1::IRotaryEmbeddingLayer*, addRotaryEmbedding,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ITensor&, bool, int32_t), )
  NOT_SIMULATED(nvinfer1::IDynamicQuantizeLayer*, addDynamicQuantizeV2,
                (nvinfer1::ITensor&, nvinfer1::Dims const&, nvinfer1::DataType, nvinfer1::DataType), )
  NOT_SIMULATED(nvinfer1::IKVCacheUpdateLayer*, addKVCacheUpdate,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::KVCacheMode), )
  NOT_SIMULATED(nvinfer1::INormalizationLayer*, addNormalizationV2,
                (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ITensor&, uint32_t), )
  NOT_SIMULATED(nvinfer1::IMoELayer*, addMoE, (nvinfer1::ITensor&, nvinfer1::ITensor&, nvinfer1::ITensor&), )
  NOT_SIMULATED(nvinfer1::IDistCollectiveLayer*, addDistCollective,
                (nvinfer1::ITensor&, nvinfer1::CollectiveOperation, nvinfer1::ReduceOperation, int64_t, int64_t*,
                 int64_t), )

 private:
  nvinfer1::ITensor* tensor(const std::string& name) const;

  nvinfer1::IBuilder& builder_;
  const nvinfer1::NetworkDefinitionCreationFlags flags_;
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
  Graph graph_;
  std::map<std::string, std::unique_ptr<NetworkTensor>> tensors_;
  std::deque<std::unique_ptr<Layer>> layers_;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
