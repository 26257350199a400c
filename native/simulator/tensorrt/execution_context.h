// IExecutionContext.
#pragma once

#include <NvInferRuntime.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "device.h"
#include "graph.h"
#include "kernel.h"
#include "layer_timer.h"
#include "not_simulated.h"
#include "plugin.h"

namespace simulated_tensorrt {

class Engine;
struct Value;

#define INTERFACE "IExecutionContext"
class ExecutionContext final : public nvinfer1::IExecutionContext, public nvinfer1::apiv::VExecutionContext {
 public:
  // Null, and an error, when there is no memory or weights are missing.
  static nvinfer1::IExecutionContext* make(Engine& engine, nvinfer1::ExecutionContextAllocationStrategy strategy);
  ExecutionContext(Engine& engine, bool userManaged, DeviceMemory memory, std::map<std::size_t, OwnedPlugin> plugins);
  ~ExecutionContext() override;

  nvinfer1::IExecutionContext* getPImpl() noexcept override { return this; }
  nvinfer1::ICudaEngine const& getEngine() const noexcept override;
  void setName(char const* name) noexcept override { name_ = name; }
  char const* getName() const noexcept override { return name_.c_str(); }
  void setDeviceMemory(void* memory) noexcept override;
  void setDeviceMemoryV2(void* memory, int64_t size) noexcept override;
  size_t updateDeviceMemorySizeForShapes() noexcept override;
  int32_t getOptimizationProfile() const noexcept override { return static_cast<int32_t>(profile_); }
  bool setOptimizationProfileAsync(int32_t profile, cudaStream_t stream) noexcept override;
  bool allInputDimensionsSpecified() const noexcept override;
  bool allInputShapesSpecified() const noexcept override { return allInputDimensionsSpecified(); }
  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }
  void setEnqueueEmitsProfile(bool emits) noexcept override { emitsProfile_ = emits; }
  bool getEnqueueEmitsProfile() const noexcept override { return emitsProfile_; }
  void setProfiler(nvinfer1::IProfiler* profiler) noexcept override { profiler_ = profiler; }
  nvinfer1::IProfiler* getProfiler() const noexcept override { return profiler_; }
  bool reportToProfiler() const noexcept override;
  bool setInputShape(char const* tensor, nvinfer1::Dims const& dims) noexcept override;
  nvinfer1::Dims getTensorShape(char const* tensor) const noexcept override;
  nvinfer1::Dims getTensorStrides(char const* tensor) const noexcept override;
  bool setTensorAddress(char const* tensor, void* data) noexcept override;
  void const* getTensorAddress(char const* tensor) const noexcept override;
  bool setInputTensorAddress(char const* tensor, void const* data) noexcept override;
  bool setOutputTensorAddress(char const* tensor, void* data) noexcept override;
  void* getOutputTensorAddress(char const* tensor) const noexcept override;
  int32_t inferShapes(int32_t size, char const** tensors) noexcept override;
  bool setInputConsumedEvent(cudaEvent_t event) noexcept override {
    consumed_ = event;
    return true;
  }
  cudaEvent_t getInputConsumedEvent() const noexcept override { return consumed_; }
  bool setOutputAllocator(char const* tensor, nvinfer1::IOutputAllocator* allocator) noexcept override;
  nvinfer1::IOutputAllocator* getOutputAllocator(char const* tensor) noexcept override;
  int64_t getMaxOutputSize(char const* tensor) const noexcept override;
  bool enqueueV3(cudaStream_t stream) noexcept override;
  void setPersistentCacheLimit(size_t bytes) noexcept override { persistentCache_ = bytes; }
  size_t getPersistentCacheLimit() const noexcept override { return persistentCache_; }
  bool setNvtxVerbosity(nvinfer1::ProfilingVerbosity) noexcept override { return true; }
  void setAuxStreams(cudaStream_t*, int32_t) noexcept override {}

  NOT_SIMULATED(void, setDebugSync, (bool), )
  NOT_SIMULATED(bool, getDebugSync, (), const)
  NOT_SIMULATED(bool, executeV2, (void* const*), )
  NOT_SIMULATED(bool, setTemporaryStorageAllocator, (nvinfer1::IGpuAllocator*), )
  NOT_SIMULATED(nvinfer1::IGpuAllocator*, getTemporaryStorageAllocator, (), const)
  NOT_SIMULATED(nvinfer1::ProfilingVerbosity, getNvtxVerbosity, (), const)
  NOT_SIMULATED(bool, setDebugListener, (nvinfer1::IDebugListener*), )
  NOT_SIMULATED(nvinfer1::IDebugListener*, getDebugListener, (), )
  NOT_SIMULATED(bool, setTensorDebugState, (char const*, bool), )
  NOT_SIMULATED(bool, getDebugState, (char const*), const)
  NOT_SIMULATED(bool, setAllTensorsDebugState, (bool), )
  NOT_SIMULATED(nvinfer1::IRuntimeConfig*, getRuntimeConfig, (), const)
  NOT_SIMULATED(bool, setUnfusedTensorsDebugState, (bool), )
  NOT_SIMULATED(bool, getUnfusedTensorsDebugState, (), const)
  NOT_SIMULATED(bool, setCommunicator, (void*), )

 private:
  bool refuse(const char* method, const std::string& text) const;
  // Shapes of inputs as set, and values of those in host memory where their address is known.
  Infos inputs() const;
  // All values as far as they are known; null while the inputs are not.
  std::optional<Infos> infos() const;
  // What is wrong with the state for enqueueV3(); empty if nothing is.
  std::string notReady(const Infos& infos) const;
  bool enqueue(cudaStream_t stream, const Infos& infos);
  bool enqueueAfterShapes(cudaStream_t stream, const Infos& infos);
  // Each node on its own, as plugins queue what they like.
  bool enqueueNodes(cudaStream_t stream, const Infos& infos);
  // Whatever shapes it has: with or without plugins, or outputs whose shape depends on data.
  bool enqueueAny(cudaStream_t stream, const Infos& infos);
  // Calls `queue`, which queues the work of these nodes, and takes their time if there is a profiler.
  bool timed(cudaStream_t stream, std::size_t firstNode, std::size_t nodes, const std::function<bool()>& queue);
  bool enqueuePlugin(cudaStream_t stream, std::size_t node, const Infos& infos,
                     const std::map<std::string, void*>& addresses, void* workspace);
  // Where the output is to go, by its allocator if it has one.
  void* placeOutput(const Value& output, const Shape& dims, cudaStream_t stream);
  std::vector<SimulatorRange> inputRanges(const Infos& infos) const;
  void* scratch() const;

  Engine& engine_;
  const bool userManaged_;
  // Its own, unless user managed.
  const DeviceMemory memory_;
  void* userMemory_ = nullptr;
  std::size_t userMemoryBytes_ = 0;
  std::string name_;
  std::size_t profile_ = 0;
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
  bool emitsProfile_ = true;
  nvinfer1::IProfiler* profiler_ = nullptr;
  LayerTimer timer_;
  std::map<std::string, Shape> shapes_;
  std::map<std::string, void*> addresses_;
  std::map<std::string, nvinfer1::IOutputAllocator*> allocators_;
  cudaEvent_t consumed_ = nullptr;
  // Attached to this context, by the number of their node.
  std::map<std::size_t, OwnedPlugin> plugins_;
  // Shapes or addresses were set since plugins were told.
  bool changed_ = true;
  size_t persistentCache_ = 0;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
