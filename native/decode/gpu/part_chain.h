// A decoder's parts one after another: their contexts, bound to weights and memory, and queued on a stream.
#pragma once

#include <cuda.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "../../cuda/stream.h"
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

// For one thread, and one stream.
class PartChain {
 public:
  // Contexts of the prologue and the blocks, with shapes for some number of rows and runs.
  class Contexts {
   private:
    friend class PartChain;
    std::vector<std::unique_ptr<Part>> parts_;
    std::int32_t rows_ = 0;
    std::int32_t runs_ = 0;
  };

  // The model must outlive this.
  PartChain(const DecoderModel& model, std::shared_ptr<PartFactory> factory, const ChainMemory& memory);

  // All below throw TensorrtError, CudaError.
  Contexts contexts(Range range) const;
  void shape(Contexts& contexts, std::int32_t rows, std::int32_t runs) const;
  std::unique_ptr<Part> epilogue(std::int32_t rows) const;

  // Queues prologue and blocks; the hidden rows are at result().
  void queue(Contexts& contexts, const RowInputs& inputs, const cuda::Stream& stream) const;
  // Queues each context once, for what TensorRT prepares in the first run with new shapes, which no graph can hold. The
  // rows must be padding.
  void prepare(Contexts& contexts, const RowInputs& inputs, const cuda::Stream& stream) const;
  // Hidden rows to logits.
  void queueEpilogue(Part& epilogue, CUdeviceptr hidden, const cuda::Stream& stream) const;

  CUdeviceptr result() const noexcept { return memory_.hidden[(model_.runs.size() - 2) % 2]; }

 private:
  void queueRun(Contexts& contexts, std::size_t index, const RowInputs& inputs, const cuda::Stream& stream) const;
  void bindWeights(Part& part, const PartRun& run) const;

  const DecoderModel& model_;
  const std::shared_ptr<PartFactory> factory_;
  const ChainMemory memory_;
};

}  // namespace tensorrt_node::decode
