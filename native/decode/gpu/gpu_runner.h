// Steps of a decoder on the GPU: TensorRT's parts chained, keys and values in pages, tokens chosen on the device.
//
// Whatever has few shapes is captured once and launched in one call: steps of streams by their rows, pieces of prompts
// up to some length, and what follows their last rows. A layer's engine takes the host longer to queue than a small
// model's layer takes the GPU.
#pragma once

#include <cstdint>
#include <functional>
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
#include "part_chain.h"
#include "prompt_rows.h"
#include "row_sizes.h"
#include "step_ring.h"

namespace tensorrt_node::decode {

struct GpuRunnerOptions {
  RunnerLimits limits;
  // Steps that may be under way.
  std::size_t stepsInFlight = 8;
  // Rows up to which steps of streams are Range::decode; above, Range::wide.
  std::int32_t narrowRows = 16;
  // Rows up to which steps of prompts are captured.
  std::int32_t capturedPromptRows = 512;
  // Each kind of step has but one size, whatever is in it, so that a row's numbers do not depend on its company:
  // decodeRows, and capturedPromptRows, which prompts' steps must not exceed.
  bool oneSize = false;
};

class GpuRunner final : public StepRunner {
 public:
  // Allocates all that steps take. Throws CudaError, TensorrtError.
  GpuRunner(tensorrt::DeviceMemory memory, DecoderModel model, std::shared_ptr<PartFactory> parts,
            const GpuRunnerOptions& options);
  // Waits for the steps under way.
  ~GpuRunner() override;

  // Captures all graphs now; else each is captured where it is first wanted, which holds that step up. What
  // `onCaptured` throws goes through. Throws CudaError, TensorrtError.
  void capture(const std::function<void(std::size_t done, std::size_t total)>& onCaptured);

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
  // Graphs are good as long as the contexts that they were captured from keep their shapes.
  struct Captured {
    PartChain::Contexts contexts;
    std::optional<cuda::Graph> graph;
  };
  using CapturedByRows = std::map<std::int32_t, Captured>;

  // Rows that a step of prompts is padded to; 0 for one that is queued as it is.
  std::int32_t paddedRows(std::int32_t rows, std::size_t runs) const noexcept;
  void uploadPrompts(std::span<const PromptRun> runs, Chosen chosen, const PromptSizes& sizes);
  // Queues the chosen rows' logits.
  void queueLogits(std::int32_t rows);
  void chooseTokens(std::int32_t rows, CUdeviceptr slots);
  Part& epilogue(std::int32_t rows);

  const cuda::Graph& decodeGraph(std::int32_t rows);
  const cuda::Graph& promptGraph(std::int32_t rows);
  // Of the rows that prompts end with: their logits and tokens.
  const cuda::Graph& endGraph(std::int32_t rows);

  RowInputs promptInputs() const noexcept;
  void uploadSlots(std::vector<std::int32_t> slots);
  template <typename T>
  void upload(cuda::DeviceBlock& to, std::span<const T> from);

  const tensorrt::DeviceMemory memory_;
  const DecoderModel model_;
  const GpuRunnerOptions options_;
  const RowSizes decodeSizes_;
  const RowSizes promptSizes_;
  const RowSizes chosenSizes_;
  // Of captured steps of prompts, one of them padding.
  const std::int32_t promptRuns_;
  // Rows of padding that cost no more than queueing the step's parts one by one.
  const std::int32_t worthPadding_;
  const cuda::Stream stream_;
  const std::shared_ptr<const kernels::Kernels> kernels_;
  SlotTables tables_;
  StepRing ring_;

  // Two addresses a layer, and the pages themselves: keys, then values, of each layer.
  cuda::DeviceBlock cache_;
  std::vector<cuda::DeviceBlock> pages_;

  // Where a decode step's rows stand, which its slots are made into on the device.
  cuda::DeviceBlock decodeTokens_;
  cuda::DeviceBlock decodePositions_;
  cuda::DeviceBlock decodeRunStarts_;
  cuda::DeviceBlock decodeRunSlots_;
  cuda::DeviceBlock decodeSlots_;
  // What decodeSlots_ holds, or will by then.
  std::vector<std::int32_t> uploadedSlots_;
  const PromptLayout promptLayout_;
  cuda::DeviceBlock promptRows_;
  cuda::DeviceBlock hidden_[2];
  // Rows of the hidden state whose logits are wanted.
  cuda::DeviceBlock gathered_;
  cuda::DeviceBlock logits_;
  cuda::DeviceBlock sampleWorkspace_;
  cuda::DeviceBlock records_;

  std::optional<PartChain> chain_;
  // Of prompts that are not captured.
  PartChain::Contexts promptContexts_;
  std::map<std::int32_t, std::unique_ptr<Part>> epilogues_;
  CapturedByRows decodeGraphs_;
  CapturedByRows promptGraphs_;
  std::map<std::int32_t, cuda::Graph> endGraphs_;
};

}  // namespace tensorrt_node::decode
