// A decoder's parts one after another: their contexts, bound to weights and memory, and queued on a stream.
#pragma once

#include <cuda.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "../../cuda/stream.h"
#include "../../weights/step_weights.h"
#include "decoder_model.h"
#include "part.h"

namespace tensorrt_node::decode {

// Between the cache addresses of two layers, in bytes: TensorRT wants inputs to begin at multiples of it.
inline constexpr std::size_t cacheStride = 256;

// Device addresses that all steps share.
struct ChainMemory {
  CUdeviceptr cache;                  // of each layer, cacheStride apart: int64 [2]
  CUdeviceptr pages;                  // int32 [slots, pagesPerSlot]
  std::array<CUdeviceptr, 2> hidden;  // in turn between the parts
  CUdeviceptr logits;
  std::int32_t slots;
  std::int32_t pagesPerSlot;
};

// What the rows of a step are.
struct RowInputs {
  CUdeviceptr tokens;
  CUdeviceptr positions;
  CUdeviceptr runStarts;
  CUdeviceptr runSlots;
};

// Runs of the prologue and blocks that are queued in one go: all that follow one another and stay, or one that is
// streamed.
struct RunRange {
  std::size_t first;
  std::size_t end;
  bool streamed;
};

// For one thread, and one stream.
class PartChain {
 public:
  // Contexts of the prologue and the blocks, with shapes for some number of rows and runs.
  class Contexts {
   public:
    // Null for the epilogue.
    Part* part(std::size_t part) const noexcept { return parts_[part].get(); }

   private:
    friend class PartChain;
    std::vector<std::unique_ptr<Part>> parts_;
    std::int32_t rows_ = 0;
    std::int32_t runs_ = 0;
  };

  // The model and the weights must outlive this. Throws std::invalid_argument where the prologue or the epilogue is
  // streamed.
  PartChain(const DecoderModel& model, const weights::StepWeights& weights, std::shared_ptr<PartFactory> factory,
            const ChainMemory& memory);

  // In their order; the first one stays.
  const std::vector<RunRange>& ranges() const noexcept { return ranges_; }
  // Bytes that prepare() wants: of the largest weight of the parts whose runs are all streamed.
  std::uint64_t blankBytes() const noexcept;

  // All below throw TensorrtError, CudaError.
  Contexts contexts(Range range) const;
  void shape(Contexts& contexts, std::int32_t rows, std::int32_t runs) const;
  std::unique_ptr<Part> epilogue(std::int32_t rows) const;

  // Queues a part of prologue and blocks; after the last one the hidden rows are at result(). The weights must be
  // there.
  void queue(Contexts& contexts, const RunRange& range, const RowInputs& inputs, const cuda::Stream& stream) const;
  // Queues each context once, for what TensorRT prepares in the first run with new shapes, which no graph can hold. The
  // rows must be padding. Where all runs of a part are streamed, `blank` stands for their weights, whatever it holds.
  void prepare(Contexts& contexts, const RowInputs& inputs, CUdeviceptr blank, const cuda::Stream& stream) const;
  // Hidden rows to logits.
  void queueEpilogue(Part& epilogue, CUdeviceptr hidden, const cuda::Stream& stream) const;

  CUdeviceptr result() const noexcept { return memory_.hidden[(model_.runs.size() - 2) % 2]; }

 private:
  // `blank`: 0, or what stands for each weight.
  void queueRun(Contexts& contexts, std::size_t index, const RowInputs& inputs, CUdeviceptr blank,
                const cuda::Stream& stream) const;
  void bindWeights(Part& part, std::size_t index, CUdeviceptr blank) const;
  // For each part but the epilogue's the run that it is prepared with: one that stays, if any does.
  std::vector<std::size_t> preparedRuns() const;

  const DecoderModel& model_;
  const weights::StepWeights& weights_;
  const std::shared_ptr<PartFactory> factory_;
  const ChainMemory memory_;
  std::vector<RunRange> ranges_;
};

}  // namespace tensorrt_node::decode
