// An execution context with a stream and device memory of its own: shapes are set, work is queued, and the caller says
// when to wait.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "../cuda/device_pool.h"
#include "../cuda/pinned_pool.h"
#include "../cuda/stream.h"
#include "engine.h"
#include "layer_profiler.h"
#include "output_memory.h"

namespace tensorrt_node::tensorrt {

// One input of a run: its shape, and where its dense elements are in pinned memory.
struct InputView {
  std::span<const std::int64_t> dims;
  std::span<const std::byte> bytes;
};

// For one thread at a time.
class Execution {
 public:
  // Throws TensorrtError and CudaError.
  Execution(std::shared_ptr<const Engine> engine, const std::string& name);
  // Waits for the work it queued.
  ~Execution();
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  const Engine& engine() const noexcept { return *engine_; }
  const cuda::Stream& stream() const noexcept { return stream_; }

  // Blocks until the work is done, or lost.
  void drain() const noexcept;

  // Makes everything ready for inputs of these shapes, in the engine's order: profile, addresses, device memory. The
  // content of inputs that the engine reads on the host is copied. Nothing is done where all is as it was last time.
  // Throws TensorrtError, and CudaError with what was needed when memory ran out; it may be called again after that.
  void prepare(std::span<const InputView> inputs);
  // The memory of the last shapes goes back to the pools.
  void forget() noexcept;

  // Queue, after prepare(): the inputs' way to the device; the network; the outputs' way back. `bytes` of an output
  // must be its outputBytes().
  void copyInputs(std::span<const InputView> inputs);
  void enqueue();
  void copyOutput(std::size_t output, std::span<std::byte> to);
  // For outputs that the engine leaves on the host, once its work is done.
  void readHostOutput(std::size_t output, std::span<std::byte> to) const;

  // After prepare(); of outputs whose shape depends on data after enqueue(), -1 where that is not known.
  Shape outputDims(std::size_t output) const;
  std::size_t outputBytes(std::size_t output) const;
  bool outputDependsOnData(std::size_t output) const { return outputs_[output].allocated; }
  // The most that an output can take with the shapes of the last prepare(), in bytes.
  std::size_t maxOutputBytes(std::size_t output) const;
  // As the functions of the same names in layer_profiler.h.
  void timeLayers(LayerProfiler& profiler);
  void reportLayers() const;
  // As Engine::layerInformation(), with the shapes of the last prepare().
  std::string layerInformation() const { return engine_->layerInformation(context_.get()); }

  // Shapes or outputs are worked out on the host at every enqueue(), so no graph can hold the work.
  bool needsHost() const noexcept;

 private:
  struct Input {
    Shape dims;
    // On the device; of inputs read on the host none.
    cuda::DeviceBlock memory;
    // What the engine reads on the host.
    cuda::PinnedBlock host;
  };
  struct Output {
    // Its size depends on data: it goes where the engine asks for.
    bool allocated = false;
    std::unique_ptr<OutputMemory> memory;
    cuda::PinnedBlock host;
  };

  bool asBefore(std::span<const InputView> inputs) const;
  void chooseProfile(std::span<const InputView> inputs);
  void setInput(std::size_t index, const InputView& input);
  void setOutput(std::size_t index);
  void setScratch();
  void check(bool done, const char* call, const std::string& what) const;

  const std::shared_ptr<const Engine> engine_;
  cuda::Stream stream_;
  std::vector<Input> inputs_;
  std::vector<Output> outputs_;
  cuda::DeviceBlock scratch_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  bool prepared_ = false;
};

}  // namespace tensorrt_node::tensorrt
