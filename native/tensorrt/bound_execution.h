// An engine bound to memory: inputs and outputs stay where they are, shapes too, and a run is one launch of a graph.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../cuda/event.h"
#include "../cuda/graph.h"
#include "../cuda/pinned_pool.h"
#include "execution.h"

namespace tensorrt_node::tensorrt {

struct BindOptions {
  // Record a CUDA graph, if the engine's work can be recorded.
  bool graph = true;
  // Measure the time on the GPU.
  bool timing = false;
};

// For one thread at a time.
class BoundExecution {
 public:
  // Runs the engine once or more, on zeros, to warm it up. `dims` are those of the inputs, in the engine's order;
  // inputs that hold a shape begin with the values that the plan was optimised for. Throws TensorrtError and CudaError.
  BoundExecution(std::shared_ptr<const Engine> engine, const std::vector<Shape>& dims, BindOptions options,
                 const std::string& name);
  // Waits for a run under way.
  ~BoundExecution();
  BoundExecution(const BoundExecution&) = delete;
  BoundExecution& operator=(const BoundExecution&) = delete;

  // In the engine's order. Others may own them as well.
  const std::vector<std::shared_ptr<cuda::PinnedBlock>>& inputs() const noexcept { return inputs_; }
  // As large as an output may become.
  const std::vector<std::shared_ptr<cuda::PinnedBlock>>& outputs() const noexcept { return outputs_; }
  bool usesGraph() const noexcept { return graph_.has_value(); }
  // Where they depend on data: of the last run, with dimensions of -1 before the first.
  const std::vector<Shape>& outputDims() const noexcept { return outputDims_; }
  const Engine& engine() const noexcept { return execution_.engine(); }

  // Queues a run: everything from the inputs' way to the device to the outputs' way back. Not while one is under way.
  // Throws CudaError and TensorrtError; nothing is under way then.
  void launch();
  // Whether the run is over. Throws what it failed with.
  bool over();
  // After over(), before the outputs are read.
  void finish();
  // Blocks until the run is over, asking without a pause for the first two milliseconds; finish() as well.
  void wait();

  // Of the last run that is over, copies included; 0 before the first. Throws UnsupportedError without `timing`.
  float gpuMilliseconds() const;

 private:
  void queue();
  void warmUp(bool graph);
  void record();
  void fillInputs(std::vector<std::int64_t> Range::*values);
  std::vector<std::size_t> largestOutputs();
  bool hasHostInput() const noexcept;
  // The output's shape is the same in every run.
  bool fixed(std::size_t output) const noexcept;

  Execution execution_;
  std::vector<std::shared_ptr<cuda::PinnedBlock>> inputs_;
  std::vector<std::shared_ptr<cuda::PinnedBlock>> outputs_;
  std::vector<Shape> dims_;
  std::vector<InputView> views_;
  std::vector<Shape> outputDims_;
  std::optional<cuda::Graph> graph_;
  // The engine's weights that the graph was recorded with.
  std::uint64_t refits_ = 0;
  struct Timing {
    cuda::Event start;
    cuda::Event end;
  };
  std::optional<Timing> timing_;
  bool measured_ = false;
};

}  // namespace tensorrt_node::tensorrt
