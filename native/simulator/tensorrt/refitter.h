// IRefitter.
#pragma once

#include <NvInferRuntime.h>

#include <set>
#include <string>

#include "graph.h"
#include "not_simulated.h"

namespace simulated_tensorrt {

class Engine;

#define INTERFACE "IRefitter"
class Refitter final : public nvinfer1::IRefitter, public nvinfer1::apiv::VRefitter {
 public:
  // Null, and an error, for engines that cannot be refitted.
  static nvinfer1::IRefitter* make(Engine& engine, nvinfer1::ILogger& logger);
  Refitter(Engine& engine, nvinfer1::ILogger& logger);

  nvinfer1::IRefitter* getPImpl() noexcept override { return this; }
  bool refitCudaEngine() noexcept override;
  bool refitCudaEngineAsync(cudaStream_t) noexcept override { return refitCudaEngine(); }
  bool setNamedWeights(char const* name, nvinfer1::Weights weights) noexcept override;
  int32_t getMissingWeights(int32_t size, char const** names) noexcept override;
  int32_t getAllWeights(int32_t size, char const** names) noexcept override;
  nvinfer1::Weights getWeightsPrototype(char const* name) const noexcept override;
  nvinfer1::ILogger* getLogger() const noexcept override { return &logger_; }
  bool setMaxThreads(int32_t count) noexcept override { return count > 0; }
  int32_t getMaxThreads() const noexcept override { return 1; }
  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }

  NOT_SIMULATED(bool, setWeights, (char const*, nvinfer1::WeightsRole, const nvinfer1::Weights), )
  NOT_SIMULATED(int32_t, getMissing, (int32_t, char const**, nvinfer1::WeightsRole*), )
  NOT_SIMULATED(int32_t, getAll, (int32_t, char const**, nvinfer1::WeightsRole*), )
  NOT_SIMULATED(bool, setDynamicRange, (char const*, float, float), )
  NOT_SIMULATED(float, getDynamicRangeMin, (char const*), const)
  NOT_SIMULATED(float, getDynamicRangeMax, (char const*), const)
  NOT_SIMULATED(int32_t, getTensorsWithDynamicRange, (int32_t, char const**), const)
  NOT_SIMULATED(bool, setNamedWeightsWithLocation, (char const*, nvinfer1::Weights, nvinfer1::TensorLocation), )
  NOT_SIMULATED(nvinfer1::Weights, getNamedWeights, (char const*), const)
  NOT_SIMULATED(nvinfer1::TensorLocation, getWeightsLocation, (char const*), const)
  NOT_SIMULATED(bool, unsetNamedWeights, (char const*), )
  NOT_SIMULATED(void, setWeightsValidation, (bool), )
  NOT_SIMULATED(bool, getWeightsValidation, (), const)

 private:
  Engine& engine_;
  nvinfer1::ILogger& logger_;
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
  Graph graph_;
  // Of a stripped plan, those not yet set.
  std::set<std::string> missing_;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
