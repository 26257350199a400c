// ICudaEngine.
#pragma once

#include <NvInfer.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "device.h"
#include "not_simulated.h"
#include "plan.h"
#include "plugin.h"

namespace simulated_tensorrt {

// Offsets of tensors within scratch memory, and of the memory that plugins work in.
struct ScratchLayout {
  std::map<std::string, std::size_t> tensors;
  std::size_t workspace = 0;
  std::size_t bytes = 0;
};

#define INTERFACE "ICudaEngine"
class Engine final : public nvinfer1::ICudaEngine, public nvinfer1::apiv::VCudaEngine {
 public:
  // Throws PlanError for a plugin that cannot be made.
  Engine(Plan plan, DeviceMemory weights, nvinfer1::ILogger& logger);
  // TensorRT wants its execution contexts gone by then; anything else ends the process.
  ~Engine() override;

  const Plan& plan() const { return plan_; }
  nvinfer1::ILogger& logger() const { return logger_; }
  // Of an input or output; null for other names.
  const Value* find(const char* tensor) const;
  bool isInput(const Value& value) const;
  bool isShapeTensor(const std::string& tensor) const { return shapeInputs_.contains(tensor); }
  // Of an input in a profile: its declared shape where that is static.
  Range rangeOf(const Value& input, std::size_t profile) const;
  // Shapes and values of inputs as inference wants them.
  Infos largestInputs(std::size_t profile) const;
  // Where everything is in an execution's scratch memory, for these values.
  ScratchLayout layoutFor(const Infos& infos) const;
  // Activation memory for these values, in bytes.
  std::size_t memoryFor(const Infos& infos) const { return layoutFor(infos).bytes; }
  // Of plugin nodes, by their number.
  const std::map<std::size_t, OwnedPlugin>& plugins() const { return plugins_; }

  // The graph as it is now: weights change by refitting.
  std::shared_ptr<const Graph> graph() const;
  void refit(Graph graph);
  bool hasAllWeights() const;

  void contextMade() { ++contexts_; }
  void contextGone() { --contexts_; }

  nvinfer1::ICudaEngine* getPImpl() noexcept override { return this; }
  int32_t getNbLayers() const noexcept override { return static_cast<int32_t>(plan_.graph.nodes.size()); }
  nvinfer1::IHostMemory* serialize() const noexcept override;
  nvinfer1::IExecutionContext* createExecutionContext(
      nvinfer1::ExecutionContextAllocationStrategy strategy) noexcept override;
  nvinfer1::IExecutionContext* createExecutionContextWithoutDeviceMemory() noexcept override;
  size_t getDeviceMemorySize() const noexcept override;
  bool isRefittable() const noexcept override;
  // Refits give back the weights that the plan was built with.
  bool takesItsOwnWeights() const noexcept;
  char const* getName() const noexcept override { return plan_.name.c_str(); }
  int32_t getNbOptimizationProfiles() const noexcept override { return static_cast<int32_t>(plan_.profiles.size()); }
  int32_t const* getProfileTensorValues(char const* tensor, int32_t profile,
                                        nvinfer1::OptProfileSelector select) const noexcept override;
  nvinfer1::EngineCapability getEngineCapability() const noexcept override {
    return nvinfer1::EngineCapability::kSTANDARD;
  }
  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }
  bool hasImplicitBatchDimension() const noexcept override { return false; }
  nvinfer1::TacticSources getTacticSources() const noexcept override { return plan_.tacticSources; }
  nvinfer1::ProfilingVerbosity getProfilingVerbosity() const noexcept override { return plan_.verbosity; }
  nvinfer1::IEngineInspector* createEngineInspector() const noexcept override;
  nvinfer1::Dims getTensorShape(char const* tensor) const noexcept override;
  DataType getTensorDataType(char const* tensor) const noexcept override;
  nvinfer1::TensorLocation getTensorLocation(char const* tensor) const noexcept override;
  bool isShapeInferenceIO(char const* tensor) const noexcept override;
  nvinfer1::TensorIOMode getTensorIOMode(char const* tensor) const noexcept override;
  int32_t getTensorBytesPerComponent(char const* tensor) const noexcept override;
  int32_t getTensorComponentsPerElement(char const*) const noexcept override { return 1; }
  nvinfer1::TensorFormat getTensorFormat(char const*) const noexcept override {
    return nvinfer1::TensorFormat::kLINEAR;
  }
  char const* getTensorFormatDesc(char const*) const noexcept override { return "Row-major linear format (kLINEAR)"; }
  int32_t getTensorVectorizedDim(char const*) const noexcept override { return -1; }
  nvinfer1::TensorFormat getTensorFormatV2(char const*, int32_t) const noexcept override {
    return nvinfer1::TensorFormat::kLINEAR;
  }
  char const* getTensorFormatDescV2(char const* tensor, int32_t) const noexcept override {
    return getTensorFormatDesc(tensor);
  }
  int32_t getTensorVectorizedDimV2(char const*, int32_t) const noexcept override { return -1; }
  int32_t getTensorBytesPerComponentV2(char const* tensor, int32_t) const noexcept override {
    return getTensorBytesPerComponent(tensor);
  }
  int32_t getTensorComponentsPerElementV2(char const*, int32_t) const noexcept override { return 1; }
  nvinfer1::Dims getProfileShape(char const* tensor, int32_t profile,
                                 nvinfer1::OptProfileSelector select) const noexcept override;
  int32_t getNbIOTensors() const noexcept override {
    return static_cast<int32_t>(plan_.graph.inputs.size() + plan_.graph.outputs.size());
  }
  char const* getIOTensorName(int32_t index) const noexcept override;
  nvinfer1::HardwareCompatibilityLevel getHardwareCompatibilityLevel() const noexcept override {
    return plan_.compatibility;
  }
  int32_t getNbAuxStreams() const noexcept override { return 0; }
  size_t getDeviceMemorySizeForProfile(int32_t profile) const noexcept override;
  nvinfer1::IRefitter* createRefitter(nvinfer1::ILogger& logger) noexcept override;
  bool isDebugTensor(char const*) const noexcept override { return false; }
  int64_t getStreamableWeightsSize() const noexcept override;
  bool setWeightStreamingBudgetV2(int64_t bytes) noexcept override;
  int64_t getWeightStreamingBudgetV2() const noexcept override { return budget_; }
  int64_t getWeightStreamingAutomaticBudget() const noexcept override { return getStreamableWeightsSize() / 2; }
  int64_t getWeightStreamingScratchMemorySize() const noexcept override { return 0; }
  int64_t getDeviceMemorySizeV2() const noexcept override;
  int64_t getDeviceMemorySizeForProfileV2(int32_t profile) const noexcept override;
  int64_t const* getProfileTensorValuesV2(char const* tensor, int32_t profile,
                                          nvinfer1::OptProfileSelector select) const noexcept override;
  int64_t getEngineStat(nvinfer1::EngineStat stat) const noexcept override;

  NOT_SIMULATED(nvinfer1::ISerializationConfig*, createSerializationConfig, (), )
  NOT_SIMULATED(nvinfer1::IHostMemory*, serializeWithConfig, (nvinfer1::ISerializationConfig&), const)
  NOT_SIMULATED(bool, setWeightStreamingBudget, (int64_t), )
  NOT_SIMULATED(int64_t, getWeightStreamingBudget, (), const)
  NOT_SIMULATED(int64_t, getMinimumWeightStreamingBudget, (), const)
  NOT_SIMULATED(nvinfer1::IExecutionContext*, createExecutionContextWithRuntimeConfig, (nvinfer1::IRuntimeConfig*), )
  NOT_SIMULATED(nvinfer1::IRuntimeConfig*, createRuntimeConfig, (), )
  NOT_SIMULATED(char const*, getAliasedInputTensor, (char const*), const)

 private:
  const Shape* valuesOf(const char* tensor, int32_t profile, nvinfer1::OptProfileSelector select) const;

  const Plan plan_;
  const DeviceMemory weights_;
  std::map<std::size_t, OwnedPlugin> plugins_;
  nvinfer1::ILogger& logger_;
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
  const std::set<std::string> shapeInputs_;
  std::atomic<int> contexts_{0};
  std::int64_t budget_ = 0;
  mutable std::mutex mutex_;
  std::shared_ptr<const Graph> graph_;
  // What getProfileTensorValues() handed out.
  mutable std::map<std::string, std::vector<std::int32_t>> values_;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
