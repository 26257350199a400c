#include "part_chain.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

namespace tensorrt_node::decode {

PartChain::PartChain(const DecoderModel& model, const weights::StepWeights& weights,
                     std::shared_ptr<PartFactory> factory, const ChainMemory& memory)
    : model_(model), weights_(weights), factory_(std::move(factory)), memory_(memory) {
  if (weights.streamed(0) || weights.streamed(model.runs.size() - 1))
    throw std::invalid_argument("the weights of a decoder's prologue and epilogue must stay on the device");
  for (std::size_t run = 0; run + 1 < model.runs.size(); ++run) {
    const bool streamed = weights.streamed(run);
    if (ranges_.empty() || streamed || ranges_.back().streamed) {
      ranges_.push_back({.first = run, .end = run + 1, .streamed = streamed});
    } else {
      ranges_.back().end = run + 1;
    }
  }
}

std::uint64_t PartChain::blankBytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const std::size_t run : preparedRuns()) {
    if (!weights_.streamed(run)) continue;
    for (const WeightInput& input : model_.runs[run].weights) bytes = std::max(bytes, model_.weightBytes[input.weight]);
  }
  return bytes;
}

std::vector<std::size_t> PartChain::preparedRuns() const {
  std::vector<std::size_t> runs;
  for (std::size_t part = 0; part < model_.parts; ++part) {
    std::optional<std::size_t> best;
    for (std::size_t run = 0; run + 1 < model_.runs.size(); ++run) {
      if (model_.runs[run].part != part || (best && !weights_.streamed(*best))) continue;
      if (!best || !weights_.streamed(run)) best = run;
    }
    if (best) runs.push_back(*best);
  }
  // Each finds the hidden rows of one before it.
  std::ranges::sort(runs);
  return runs;
}

PartChain::Contexts PartChain::contexts(Range range) const {
  Contexts made;
  made.parts_.resize(model_.parts);
  for (std::size_t part = 0; part < model_.parts; ++part)
    if (part != model_.runs.back().part) made.parts_[part] = factory_->make(part, range);
  return made;
}

void PartChain::shape(Contexts& contexts, std::int32_t rows, std::int32_t runs) const {
  if (contexts.rows_ == rows && contexts.runs_ == runs) return;
  const std::array<std::int64_t, 1> perRow{rows};
  const std::array<std::int64_t, 1> perRun{runs};
  const std::array<std::int64_t, 1> starts{runs + 1};
  const std::array<std::int64_t, 2> hidden{rows, model_.hiddenSize};
  const std::array<std::int64_t, 2> pages{memory_.slots, memory_.pagesPerSlot};
  const std::size_t prologue = model_.runs.front().part;
  for (std::size_t each = 0; each < contexts.parts_.size(); ++each) {
    Part* const part = contexts.parts_[each].get();
    if (part == nullptr) continue;
    if (each == prologue) {
      part->shape(tensor::tokens, perRow);
      continue;
    }
    part->shape(tensor::hidden, hidden);
    part->shape(tensor::pages, pages);
    part->shape(tensor::runStarts, starts);
    part->shape(tensor::runSlots, perRun);
    part->shape(tensor::positions, perRow);
  }
  contexts.rows_ = rows;
  contexts.runs_ = runs;
}

std::unique_ptr<Part> PartChain::epilogue(std::int32_t rows) const {
  auto part = factory_->make(model_.runs.back().part, Range::decode);
  part->shape(tensor::hidden, std::array<std::int64_t, 2>{rows, model_.hiddenSize});
  return part;
}

void PartChain::queue(Contexts& contexts, const RunRange& range, const RowInputs& inputs,
                      const cuda::Stream& stream) const {
  for (std::size_t index = range.first; index < range.end; ++index) queueRun(contexts, index, inputs, 0, stream);
}

void PartChain::prepare(Contexts& contexts, const RowInputs& inputs, CUdeviceptr blank,
                        const cuda::Stream& stream) const {
  for (const std::size_t run : preparedRuns())
    queueRun(contexts, run, inputs, weights_.streamed(run) ? blank : 0, stream);
}

void PartChain::queueRun(Contexts& contexts, std::size_t index, const RowInputs& inputs, CUdeviceptr blank,
                         const cuda::Stream& stream) const {
  const PartRun& run = model_.runs[index];
  Part& part = *contexts.parts_[run.part];
  bindWeights(part, index, blank);
  if (index == 0) {
    part.bind(tensor::tokens, inputs.tokens);
  } else {
    part.bind(tensor::hidden, memory_.hidden[(index - 1) % 2]);
    part.bind(tensor::cache, memory_.cache + cacheStride * static_cast<std::size_t>(run.layer));
    part.bind(tensor::pages, memory_.pages);
    part.bind(tensor::runStarts, inputs.runStarts);
    part.bind(tensor::runSlots, inputs.runSlots);
    part.bind(tensor::positions, inputs.positions);
  }
  part.bind(tensor::hiddenOut, memory_.hidden[index % 2]);
  part.enqueue(stream);
}

void PartChain::queueEpilogue(Part& epilogue, CUdeviceptr hidden, const cuda::Stream& stream) const {
  bindWeights(epilogue, model_.runs.size() - 1, 0);
  epilogue.bind(tensor::hidden, hidden);
  epilogue.bind(tensor::logits, memory_.logits);
  epilogue.enqueue(stream);
}

void PartChain::bindWeights(Part& part, std::size_t index, CUdeviceptr blank) const {
  for (const WeightInput& input : model_.runs[index].weights)
    part.bind(input.name, blank != 0 ? blank : weights_.address(index, input.weight));
}

}  // namespace tensorrt_node::decode
