#include "gpu_runner.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "../../cuda/copy.h"
#include "../../kernels/launch.h"

namespace tensorrt_node::decode {

namespace {

constexpr std::size_t at(std::int32_t index) noexcept {
  return static_cast<std::size_t>(index);
}

template <typename T>
T* pointer(const cuda::DeviceBlock& block) noexcept {
  return reinterpret_cast<T*>(block.address());
}

std::size_t hiddenBytes(const DecoderModel& model, std::int32_t rows) noexcept {
  return at(rows) * at(model.hiddenSize) * 2;
}

std::size_t pageBytes(const DecoderModel& model) noexcept {
  return at(model.kvHeads) * at(pageTokens) * at(model.headSize) * 2;
}

// Graphs for powers of two: the rows between are padding.
std::int32_t decodeRowsFor(std::int32_t rows, std::int32_t most) noexcept {
  return std::min(static_cast<std::int32_t>(std::bit_ceil(static_cast<std::uint32_t>(rows))), most);
}

// Between the addresses of two layers, in bytes: TensorRT wants inputs to begin at multiples of it.
constexpr std::size_t cacheStride = 256;

}  // namespace

GpuRunner::GpuRunner(tensorrt::DeviceMemory memory, DecoderModel model, std::shared_ptr<PartFactory> parts,
                     const GpuRunnerOptions& options)
    : memory_(std::move(memory)),
      model_(std::move(model)),
      factory_(std::move(parts)),
      options_(options),
      stream_(memory_.context, "decode"),
      kernels_(kernels::Kernels::of(memory_.context)),
      tables_(options.limits, stream_, memory_.device, memory_.pinned),
      ring_(memory_, options.stepsInFlight, at(std::max(options.limits.decodeRows, options.limits.slots))) {
  const RunnerLimits& limits = options_.limits;
  const std::int32_t rows = std::max({limits.prefillRows, limits.decodeRows, limits.scoreRows});
  const std::int32_t chosen = std::max({limits.decodeRows, limits.slots, limits.scoreRows});

  const std::size_t bytes = at(limits.pages) * pageBytes(model_);
  std::vector<std::int64_t> addresses(at(model_.layers) * cacheStride / sizeof(std::int64_t));
  for (std::int32_t layer = 0; layer < model_.layers; ++layer) {
    for (std::size_t side = 0; side < 2; ++side) {
      pages_.push_back(memory_.device->allocate(bytes, stream_));
      addresses[at(layer) * cacheStride / sizeof(std::int64_t) + side] =
          static_cast<std::int64_t>(pages_.back().address());
    }
  }
  cache_ = memory_.device->allocate(addresses.size() * sizeof(std::int64_t), stream_);
  upload<std::int64_t>(cache_, addresses);

  decodeInputs_ = makeInputs(limits.decodeRows, limits.decodeRows);
  decodeSlots_ = memory_.device->allocate(at(limits.decodeRows) * sizeof(std::int32_t), stream_);
  prefillInputs_ = makeInputs(std::max(limits.prefillRows, limits.scoreRows), limits.slots);
  for (cuda::DeviceBlock& hidden : hidden_) hidden = memory_.device->allocate(hiddenBytes(model_, rows), stream_);
  gathered_ = memory_.device->allocate(hiddenBytes(model_, chosen), stream_);
  gatherRows_ = memory_.device->allocate(at(chosen) * sizeof(std::int32_t), stream_);
  logits_ = memory_.device->allocate(at(chosen) * at(limits.vocabulary) * sizeof(float), stream_);
  sampleWorkspace_ = memory_.device->allocate(
      std::max<std::size_t>(1, kernels::sampleWorkspaceBytes(chosen, limits.vocabulary)), stream_);
  records_ = memory_.device->allocate(at(chosen) * sizeof(kernels::TokenRecord), stream_);
  prefillParts_ = makeParts(Range::prefill);
}

GpuRunner::~GpuRunner() {
  try {
    stream_.synchronize();
  } catch (...) {
    // The driver is gone, or has failed, and with it the work.
  }
}

void GpuRunner::copyPage(Page from, Page to) {
  const std::size_t bytes = pageBytes(model_);
  for (cuda::DeviceBlock& pages : pages_)
    cuda::copyOnDevice(stream_, pages, at(to) * bytes, pages, at(from) * bytes, bytes);
}

StepNumber GpuRunner::prefill(std::span<const PromptRun> runs) {
  uploadRuns(runs);
  const std::size_t hidden = runBlocks(prefillParts_, prefillInputs_);
  std::vector<std::int32_t> lastRows;
  std::vector<std::int32_t> slots;
  std::int32_t row = -1;
  for (const PromptRun& run : runs) {
    row += static_cast<std::int32_t>(run.tokens.size());
    if (!run.last) continue;
    lastRows.push_back(row);
    slots.push_back(run.slot);
  }
  if (!lastRows.empty()) {
    gatherRows(lastRows, hidden);
    runEpilogue(prefillParts_, static_cast<std::int32_t>(lastRows.size()), gathered_.address());
    // The rows' numbers are read by now, in the stream's order.
    upload<std::int32_t>(gatherRows_, slots);
    chooseTokens(static_cast<std::int32_t>(lastRows.size()), gatherRows_.address());
  }
  return ring_.finish(stream_, records_, lastRows.size());
}

StepNumber GpuRunner::decode(std::span<const std::int32_t> slots) {
  const auto rows = decodeRowsFor(static_cast<std::int32_t>(slots.size()), options_.limits.decodeRows);
  std::vector<std::int32_t> padded(slots.begin(), slots.end());
  padded.resize(at(rows), -1);
  const cuda::Graph& graph = *decodeStep(rows).graph;
  upload<std::int32_t>(decodeSlots_, padded);
  graph.launch(stream_);
  return ring_.finish(stream_, records_, slots.size());
}

void GpuRunner::score(const PromptRun& run, std::span<float> logits) {
  uploadRuns({&run, 1});
  const std::size_t hidden = runBlocks(prefillParts_, prefillInputs_);
  runEpilogue(prefillParts_, static_cast<std::int32_t>(run.tokens.size()), hidden_[hidden].address());
  cuda::PinnedBlock host = memory_.pinned->allocate(logits.size_bytes());
  cuda::copyToHost(stream_, host, 0, logits_, 0, logits.size_bytes());
  stream_.synchronize();
  std::memcpy(logits.data(), host.data(), logits.size_bytes());
}

GpuRunner::Inputs GpuRunner::makeInputs(std::int32_t rows, std::int32_t runs) {
  const auto allocate = [&](std::int32_t count) {
    return memory_.device->allocate(at(count) * sizeof(std::int32_t), stream_);
  };
  return {.tokens = allocate(rows),
          .positions = allocate(rows),
          .runStarts = allocate(runs + 1),
          .runSlots = allocate(runs)};
}

GpuRunner::Parts GpuRunner::makeParts(Range range) {
  Parts parts;
  for (std::size_t part = 0; part < model_.parts; ++part) parts.of.push_back(factory_->make(part, range));
  return parts;
}

void GpuRunner::shape(Parts& parts, std::int32_t rows, std::int32_t runs) {
  if (parts.rows == rows && parts.runs == runs) return;
  const std::array<std::int64_t, 1> perRow{rows};
  const std::array<std::int64_t, 1> perRun{runs};
  const std::array<std::int64_t, 1> starts{runs + 1};
  const std::array<std::int64_t, 2> hidden{rows, model_.hiddenSize};
  const std::array<std::int64_t, 2> pages{options_.limits.slots, options_.limits.pagesPerSlot};
  std::vector<char> shaped(parts.of.size(), 0);
  for (const PartRun& run : model_.runs) {
    if (std::exchange(shaped[run.part], 1) != 0 || run.part == model_.runs.back().part) continue;
    Part& part = *parts.of[run.part];
    if (&run == &model_.runs.front()) {
      part.shape(tensor::tokens, perRow);
      continue;
    }
    part.shape(tensor::hidden, hidden);
    part.shape(tensor::pages, pages);
    part.shape(tensor::runStarts, starts);
    part.shape(tensor::runSlots, perRun);
    part.shape(tensor::positions, perRow);
  }
  parts.rows = rows;
  parts.runs = runs;
}

std::size_t GpuRunner::runBlocks(Parts& parts, Inputs& inputs) {
  std::size_t at = 0;
  for (const PartRun& run : model_.runs) {
    if (&run == &model_.runs.back()) break;
    Part& part = *parts.of[run.part];
    bindWeights(part, run);
    if (&run == &model_.runs.front()) {
      part.bind(tensor::tokens, inputs.tokens.address());
    } else {
      part.bind(tensor::hidden, hidden_[at].address());
      at = 1 - at;
      part.bind(tensor::cache, cache_.address() + cacheStride * static_cast<std::size_t>(run.layer));
      part.bind(tensor::pages, reinterpret_cast<CUdeviceptr>(tables_.pages()));
      part.bind(tensor::runStarts, inputs.runStarts.address());
      part.bind(tensor::runSlots, inputs.runSlots.address());
      part.bind(tensor::positions, inputs.positions.address());
    }
    part.bind(tensor::hiddenOut, hidden_[at].address());
    part.enqueue(stream_);
  }
  return at;
}

void GpuRunner::runEpilogue(Parts& parts, std::int32_t rows, CUdeviceptr hidden) {
  const PartRun& run = model_.runs.back();
  Part& part = *parts.of[run.part];
  part.shape(tensor::hidden, std::array<std::int64_t, 2>{rows, model_.hiddenSize});
  bindWeights(part, run);
  part.bind(tensor::hidden, hidden);
  part.bind(tensor::logits, logits_.address());
  part.enqueue(stream_);
}

void GpuRunner::bindWeights(Part& part, const PartRun& run) {
  for (const WeightInput& input : run.weights) part.bind(input.name, model_.weights[input.weight].address());
}

void GpuRunner::chooseTokens(std::int32_t rows, CUdeviceptr slots) {
  const cuda::Current current(*memory_.context);
  kernels::sample(*kernels_, stream_.handle(),
                  {.logits = pointer<const float>(logits_),
                   .slots = reinterpret_cast<const std::int32_t*>(slots),
                   .sampling = tables_.sampling(),
                   .states = tables_.states(),
                   .records = pointer<kernels::TokenRecord>(records_),
                   .workspace = pointer<void>(sampleWorkspace_),
                   .rows = rows,
                   .vocabulary = options_.limits.vocabulary});
}

void GpuRunner::uploadRuns(std::span<const PromptRun> runs) {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> starts{0};
  std::vector<std::int32_t> slots;
  for (const PromptRun& run : runs) {
    tokens.insert(tokens.end(), run.tokens.begin(), run.tokens.end());
    for (std::size_t i = 0; i < run.tokens.size(); ++i)
      positions.push_back(run.position + static_cast<std::int32_t>(i));
    starts.push_back(static_cast<std::int32_t>(tokens.size()));
    slots.push_back(run.slot);
  }
  if (tokens.size() * sizeof(std::int32_t) > prefillInputs_.tokens.size() || slots.size() > at(options_.limits.slots))
    throw std::invalid_argument("more rows than a step of prompts takes");
  upload<std::int32_t>(prefillInputs_.tokens, tokens);
  upload<std::int32_t>(prefillInputs_.positions, positions);
  upload<std::int32_t>(prefillInputs_.runStarts, starts);
  upload<std::int32_t>(prefillInputs_.runSlots, slots);
  shape(prefillParts_, static_cast<std::int32_t>(tokens.size()), static_cast<std::int32_t>(slots.size()));
}

void GpuRunner::gatherRows(std::span<const std::int32_t> rows, std::size_t hidden) {
  upload(gatherRows_, rows);
  const cuda::Current current(*memory_.context);
  kernels::embed(*kernels_, stream_.handle(), model_.type,
                 {.tokens = pointer<const std::int32_t>(gatherRows_),
                  .table = pointer<const void>(hidden_[hidden]),
                  .out = pointer<void>(gathered_),
                  .rows = static_cast<std::int32_t>(rows.size()),
                  .width = model_.hiddenSize,
                  .vocabulary = static_cast<std::int32_t>(hidden_[hidden].size() / hiddenBytes(model_, 1))});
}

GpuRunner::DecodeStep& GpuRunner::decodeStep(std::int32_t rows) {
  DecodeStep& step = decodeSteps_[rows];
  if (step.graph) return step;
  if (step.parts.of.empty()) step.parts = makeParts(Range::decode);
  shape(step.parts, rows, rows);
  const auto queue = [&] {
    const cuda::Current current(*memory_.context);
    kernels::beginStep(*kernels_, stream_.handle(),
                       {.slots = pointer<const std::int32_t>(decodeSlots_),
                        .states = tables_.states(),
                        .tokens = pointer<std::int32_t>(decodeInputs_.tokens),
                        .positions = pointer<std::int32_t>(decodeInputs_.positions),
                        .runStarts = pointer<std::int32_t>(decodeInputs_.runStarts),
                        .runSlots = pointer<std::int32_t>(decodeInputs_.runSlots),
                        .rows = rows});
    const std::size_t hidden = runBlocks(step.parts, decodeInputs_);
    runEpilogue(step.parts, rows, hidden_[hidden].address());
    chooseTokens(rows, decodeInputs_.runSlots.address());
  };
  // The first run with new shapes may prepare things, which no graph can hold. Padding has no effect.
  upload<std::int32_t>(decodeSlots_, std::vector<std::int32_t>(at(rows), -1));
  queue();
  step.graph.emplace(cuda::Graph::capture(stream_, queue));
  return step;
}

template <typename T>
void GpuRunner::upload(cuda::DeviceBlock& to, std::span<const T> from) {
  // Back to its pool at once, and used again after the copy.
  cuda::PinnedBlock staging = memory_.pinned->allocate(from.size_bytes());
  std::memcpy(staging.data(), from.data(), from.size_bytes());
  cuda::copyToDevice(stream_, to, 0, staging, 0, from.size_bytes());
}

}  // namespace tensorrt_node::decode
