// A deserialized plan: what runs on it is an ExecutionContext.
#pragma once

#include <NvInferRuntime.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../cuda/context.h"
#include "../cuda/device_pool.h"
#include "../cuda/pinned_pool.h"
#include "libraries.h"
#include "tensor_info.h"

namespace tensorrt_node::tensorrt {

// The GPU that an engine lives on, and where the memory of its runs comes from.
struct DeviceMemory {
  std::shared_ptr<const cuda::Context> context;
  std::shared_ptr<cuda::PinnedPool> pinned;
  std::shared_ptr<cuda::DevicePool> device;
};

struct EngineInfo {
  std::string name;
  // In the engine's order.
  std::vector<TensorInfo> tensors;
  int profiles = 0;
  int layers = 0;
  // Activation memory of one execution context, the largest of all profiles, in bytes.
  std::int64_t deviceMemoryBytes = 0;
  // Weights that can be streamed, in bytes.
  std::int64_t streamableWeightsBytes = 0;
  bool refittable = false;
  // "none", "ampere-plus" or "same-compute-capability".
  std::string hardwareCompatibility;
};

struct EngineOptions {
  // Bytes of weights kept on the device, for plans built with weight streaming.
  std::optional<std::int64_t> weightStreamingBudget;
  // An ONNX file that a refittable or stripped plan takes its weights from.
  std::optional<std::string> refitFrom;
};

// Safe from any thread. Shared by everything that runs on it; the last owner frees it.
class Engine {
 public:
  // Slow: seconds for large plans. CUDA is initialised by `memory`. Throws TensorrtError with what TensorRT logged, and
  // CudaError.
  static std::shared_ptr<const Engine> load(Libraries libraries, DeviceMemory memory, std::span<const std::byte> plan,
                                            const EngineOptions& options = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const EngineInfo& info() const noexcept { return info_; }
  // Inputs and outputs apart, each in the engine's order.
  const std::vector<TensorInfo>& inputs() const noexcept { return inputs_; }
  const std::vector<TensorInfo>& outputs() const noexcept { return outputs_; }
  const DeviceMemory& memory() const noexcept { return memory_; }
  const Libraries& libraries() const noexcept { return libraries_; }

  // What TensorRT's inspector tells of all layers, as JSON text; of a context of this engine, with
  // its shapes, unless there are several profiles.
  std::string layerInformation(const nvinfer1::IExecutionContext* context = nullptr) const;

  // Replaces the weights by those of an ONNX file. Nothing may be running on the engine. Throws TensorrtError.
  void refit(const std::string& model) const;
  // How often that was done: work recorded in graphs before is of the weights before.
  std::uint64_t refits() const noexcept { return refits_.load(std::memory_order_relaxed); }

  // A context that gets its scratch memory from us. Throws TensorrtError; CudaError when device memory ran out.
  std::unique_ptr<nvinfer1::IExecutionContext> createContext(const std::string& name) const;
  // Frees a context. Waits while another is made, or the engine refitted.
  void destroyContext(std::unique_ptr<nvinfer1::IExecutionContext> context) const noexcept;
  // Activation memory of a context in one profile, the scratch for streamed weights included, in bytes.
  std::int64_t deviceMemoryBytes(int profile) const;
  bool streamsWeights() const noexcept { return streamsWeights_; }

 private:
  Engine(Libraries libraries, DeviceMemory memory);

  const Libraries libraries_;
  const DeviceMemory memory_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  EngineInfo info_;
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
  bool streamsWeights_ = false;
  mutable std::atomic<std::uint64_t> refits_ = 0;
  // TensorRT allows contexts in several threads, not their making, nor their end while the engine changes.
  mutable std::mutex making_;
};

}  // namespace tensorrt_node::tensorrt
