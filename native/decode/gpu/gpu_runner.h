// Steps of a decoder on the GPU: TensorRT's parts chained, keys and values in pages, tokens chosen on the device.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "../../cuda/graph.h"
#include "../../cuda/stream.h"
#include "../../kernels/kernels.h"
#include "../../tensorrt/engine.h"
#include "../slot_tables.h"
#include "../step_runner.h"
#include "decoder_model.h"
#include "part.h"
#include "step_ring.h"

namespace tensorrt_node::decode {

struct GpuRunnerOptions {
  RunnerLimits limits;
  // Steps that may be under way.
  std::size_t stepsInFlight = 8;
};

class GpuRunner final : public StepRunner {
 public:
  // Allocates all that steps take. Throws CudaError, TensorrtError.
  GpuRunner(tensorrt::DeviceMemory memory, DecoderModel model, std::shared_ptr<PartFactory> parts,
            const GpuRunnerOptions& options);
  // Waits for the steps under way.
  ~GpuRunner() override;

  RunnerLimits limits() const override { return options_.limits; }
  void begin(const SlotStart& start) override { tables_.begin(start); }
  void copyPage(Page from, Page to) override;
  StepNumber prefill(std::span<const PromptRun> runs) override;
  StepNumber decode(std::span<const std::int32_t> slots) override;
  bool done(StepNumber step) override { return ring_.done(step); }
  void wait(StepNumber step) override { ring_.wait(step); }
  std::span<const kernels::TokenRecord> records(StepNumber step) override { return ring_.records(step); }
  std::size_t stepsInFlight() const override { return ring_.size(); }
  void score(const PromptRun& run, std::span<float> logits) override;

 private:
  // Contexts of all parts, with shapes for some number of rows and runs.
  struct Parts {
    std::vector<std::unique_ptr<Part>> of;
    std::int32_t rows = 0;
    std::int32_t runs = 0;
  };
  // Where a step's rows, runs and tokens stand on the device.
  struct Inputs {
    cuda::DeviceBlock tokens;
    cuda::DeviceBlock positions;
    cuda::DeviceBlock runStarts;
    cuda::DeviceBlock runSlots;
  };
  struct DecodeStep {
    Parts parts;
    std::optional<cuda::Graph> graph;
  };

  Inputs makeInputs(std::int32_t rows, std::int32_t runs);
  Parts makeParts(Range range);
  void shape(Parts& parts, std::int32_t rows, std::int32_t runs);
  // Queues prologue and blocks. The result is in hidden_[returned].
  std::size_t runBlocks(Parts& parts, Inputs& inputs);
  void runEpilogue(Parts& parts, std::int32_t rows, CUdeviceptr hidden);
  void bindWeights(Part& part, const PartRun& run);
  void chooseTokens(std::int32_t rows, CUdeviceptr slots);
  void uploadRuns(std::span<const PromptRun> runs);
  void gatherRows(std::span<const std::int32_t> rows, std::size_t hidden);
  DecodeStep& decodeStep(std::int32_t rows);
  template <typename T>
  void upload(cuda::DeviceBlock& to, std::span<const T> from);

  const tensorrt::DeviceMemory memory_;
  DecoderModel model_;
  const std::shared_ptr<PartFactory> factory_;
  const GpuRunnerOptions options_;
  const cuda::Stream stream_;
  const std::shared_ptr<const kernels::Kernels> kernels_;
  SlotTables tables_;
  StepRing ring_;

  // Two addresses a layer, and the pages themselves: keys, then values, of each layer.
  cuda::DeviceBlock cache_;
  std::vector<cuda::DeviceBlock> pages_;

  Inputs decodeInputs_;
  cuda::DeviceBlock decodeSlots_;
  Inputs prefillInputs_;
  cuda::DeviceBlock hidden_[2];
  // Rows of the hidden state whose logits are wanted, and their numbers.
  cuda::DeviceBlock gathered_;
  cuda::DeviceBlock gatherRows_;
  cuda::DeviceBlock logits_;
  cuda::DeviceBlock sampleWorkspace_;
  cuda::DeviceBlock records_;

  Parts prefillParts_;
  // By the rows that they were captured for.
  std::map<std::int32_t, DecodeStep> decodeSteps_;
};

}  // namespace tensorrt_node::decode
