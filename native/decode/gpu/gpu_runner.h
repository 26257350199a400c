// Steps of a decoder on the GPU: TensorRT's parts chained, keys and values in pages, tokens chosen on the device.
//
// Whatever has few shapes is captured once and launched in one call: steps of streams by their rows, pieces of prompts
// up to some length, and what follows their last rows. A layer's engine takes the host longer to queue than a small
// model's layer takes the GPU. Runs whose weights are streamed are graphs of their own, launched between waiting for
// their weights and giving their place up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../../cuda/graph.h"
#include "../../cuda/stream.h"
#include "../../kernels/kernels.h"
#include "../../profile/step.h"
#include "../../profile/step_timer.h"
#include "../../tensorrt/engine.h"
#include "../../weights/step_weights.h"
#include "../slot_tables.h"
#include "../step_runner.h"
#include "captured_parts.h"
#include "decoder_model.h"
#include "movable_memory.h"
#include "page_memory.h"
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
  std::int32_t narrowRows = 32;
  // Rows up to which steps of prompts are captured.
  std::int32_t capturedPromptRows = 512;
  // Each kind of step has but one size, whatever is in it, so that a row's numbers do not depend on its company:
  // decodeRows, and capturedPromptRows, which prompts' steps must not exceed.
  bool oneSize = false;
};

class GpuRunner final : public StepRunner {
 public:
  // Allocates all that steps take. Throws CudaError, TensorrtError, and std::invalid_argument where the prologue or the
  // epilogue is streamed.
  GpuRunner(tensorrt::DeviceMemory memory, DecoderModel model, std::shared_ptr<weights::StepWeights> weights,
            std::shared_ptr<PartFactory> parts, const GpuRunnerOptions& options);
  // Waits for the steps under way.
  ~GpuRunner() override;

  // Captures all graphs now; else each is captured where it is first wanted, which holds that step up. What
  // `onCaptured` throws goes through. Throws CudaError, TensorrtError.
  void capture(const std::function<void(std::size_t done, std::size_t total)>& onCaptured);

  RunnerLimits limits() const override { return options_.limits; }
  void begin(const SlotStart& start) override { tables_.begin(start); }
  void copyPage(Page from, Page to) override { pages_.copy(from, to); }
  StepNumber prefill(std::span<const PromptRun> runs) override;
  StepNumber decode(std::span<const std::int32_t> slots) override;
  bool done(StepNumber step) override;
  void wait(StepNumber step) override;
  std::span<const kernels::TokenRecord> records(StepNumber step) override { return ring_.records(step); }
  std::size_t stepsInFlight() const override { return ring_.size(); }
  void score(const PromptRun& run, std::span<float> logits) override;
  bool suspend(std::span<const Page> pages, bool keepRam) override;
  void resume() override;
  RunnerUsage usage() override;
  StepLayers layers(const StepLayersRequest& request, std::span<const std::int32_t> slots,
                    const std::function<bool()>& stopped) override;
  std::int32_t layerRows(StepKind kind, std::int32_t rows) const override;

 private:
  // What is of use within a step, in one piece of memory: where each begins, in bytes.
  struct ScratchLayout {
    ScratchLayout(const DecoderModel& model, const RunnerLimits& limits);
    // Of a step, the larger of all.
    std::int32_t rows;
    std::array<std::size_t, 2> hidden;
    // Rows of the hidden state whose logits are wanted.
    std::size_t gathered;
    std::size_t logits;
    std::size_t sampling;
    std::size_t bytes;
  };
  struct Segment {
    // The run whose weights it waits for.
    std::optional<std::size_t> streamed;
    std::shared_ptr<const profile::GraphParts> parts;
    cuda::Graph graph;
  };
  // Graphs are good as long as the contexts that they were captured from keep their shapes.
  struct Captured {
    PartChain::Contexts contexts;
    // One where nothing is streamed.
    std::vector<Segment> segments;
  };
  using CapturedByRows = std::map<std::int32_t, Captured>;

  // Rows that a step of prompts is padded to; 0 for one that is queued as it is.
  std::int32_t paddedRows(std::int32_t rows, std::size_t runs) const noexcept;
  void uploadPrompts(std::span<const PromptRun> runs, Chosen chosen, const PromptSizes& sizes);
  // All of a step of prompts but the way of its records.
  void queuePrompts(std::span<const PromptRun> runs);
  // Queues the chosen rows' logits.
  void queueLogits(std::int32_t rows);
  void chooseTokens(std::int32_t rows, CUdeviceptr slots);
  Part& epilogue(std::int32_t rows);

  const Captured& decodeGraphs(std::int32_t rows);
  const Captured& promptGraphs(std::int32_t rows);
  // Of the rows that prompts end with: their logits and tokens.
  const Segment& endGraph(std::int32_t rows);

  // `before` belongs to the first graph, `after` to the last one, which has no streamed weights.
  std::vector<Segment> captureRuns(PartChain::Contexts& contexts, const RowInputs& inputs,
                                   const std::function<void()>& before,
                                   const std::function<void(CapturedParts&)>& after);
  Segment captureSegment(const std::function<void(CapturedParts&)>& queue);
  // Memory for PartChain::prepare().
  cuda::DeviceBlock blank();
  // All below throw StepLostError.
  void beginWeights();
  void launch(const Captured& captured);
  // Prologue and blocks, as they are.
  void queueRuns(PartChain::Contexts& contexts, const RowInputs& inputs);
  template <typename Queue>
  void withWeights(std::optional<std::size_t> streamed, Queue queue);

  template <typename T>
  T* scratch(std::size_t offset) const noexcept {
    return reinterpret_cast<T*>(scratch_.address() + offset);
  }
  RowInputs promptInputs() const noexcept;
  RowInputs decodeInputs() const noexcept;
  void uploadSlots(std::vector<std::int32_t> slots);
  template <typename T>
  void upload(cuda::DeviceBlock& to, std::span<const T> from);

  const tensorrt::DeviceMemory memory_;
  const DecoderModel model_;
  const std::shared_ptr<weights::StepWeights> weights_;
  const std::shared_ptr<PartFactory> parts_;
  const GpuRunnerOptions options_;
  // For profiles: of each run, which is queued without a graph, and the bytes of weights that blocks and the epilogue
  // read.
  const std::vector<std::shared_ptr<const profile::GraphParts>> runParts_;
  const std::uint64_t blockBytes_;
  const std::uint64_t epilogueBytes_;
  const RowSizes decodeSizes_;
  const RowSizes promptSizes_;
  const RowSizes chosenSizes_;
  // Of captured steps of prompts, one of them padding.
  const std::int32_t promptRuns_;
  // Rows of padding that cost no more than queueing the step's parts one by one.
  const std::int32_t worthPadding_;
  const cuda::Stream stream_;
  profile::StepTimer timer_;
  const std::shared_ptr<const kernels::Kernels> kernels_;
  SlotTables tables_;
  StepRing ring_;

  PageMemory pages_;
  // Their addresses: of each layer's keys, and its values.
  cuda::DeviceBlock cache_;

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
  cuda::DeviceBlock records_;
  const ScratchLayout layout_;
  MovableMemory scratch_;

  std::optional<PartChain> chain_;
  // Of prompts that are not captured.
  PartChain::Contexts promptContexts_;
  std::map<std::int32_t, std::unique_ptr<Part>> epilogues_;
  CapturedByRows decodeGraphs_;
  CapturedByRows promptGraphs_;
  std::map<std::int32_t, Segment> endGraphs_;
};

}  // namespace tensorrt_node::decode
