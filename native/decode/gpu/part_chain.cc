#include "part_chain.h"

#include <utility>

namespace tensorrt_node::decode {

PartChain::PartChain(const DecoderModel& model, std::shared_ptr<PartFactory> factory, const ChainMemory& memory)
    : model_(model), factory_(std::move(factory)), memory_(memory) {}

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

void PartChain::queue(Contexts& contexts, const RowInputs& inputs, const cuda::Stream& stream) const {
  for (std::size_t index = 0; index + 1 < model_.runs.size(); ++index) queueRun(contexts, index, inputs, stream);
}

void PartChain::prepare(Contexts& contexts, const RowInputs& inputs, const cuda::Stream& stream) const {
  std::vector<char> prepared(model_.parts, 0);
  for (std::size_t index = 0; index + 1 < model_.runs.size(); ++index)
    if (std::exchange(prepared[model_.runs[index].part], 1) == 0) queueRun(contexts, index, inputs, stream);
}

void PartChain::queueRun(Contexts& contexts, std::size_t index, const RowInputs& inputs,
                         const cuda::Stream& stream) const {
  const PartRun& run = model_.runs[index];
  Part& part = *contexts.parts_[run.part];
  bindWeights(part, run);
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
  bindWeights(epilogue, model_.runs.back());
  epilogue.bind(tensor::hidden, hidden);
  epilogue.bind(tensor::logits, memory_.logits);
  epilogue.enqueue(stream);
}

void PartChain::bindWeights(Part& part, const PartRun& run) const {
  for (const WeightInput& input : run.weights) part.bind(input.name, model_.weights[input.weight].address());
}

}  // namespace tensorrt_node::decode
