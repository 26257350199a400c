#include "gpu_runner.h"

#include <algorithm>
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

// A captured step of prompts has so many, if there are slots for them.
constexpr std::int32_t mostPromptRuns = 8;
// Below that a step is as long: it reads all weights.
constexpr std::int32_t leastPromptRows = 32;

std::int32_t mostChosen(const RunnerLimits& limits) noexcept {
  return std::max({limits.decodeRows, limits.slots, limits.scoreRows});
}

// A row takes an operation for each byte of 16-bit weights, of which a large GPU does about 4e14 a second; the host
// queues a layer in about 50 microseconds.
std::int32_t worthPadding(const DecoderModel& model) noexcept {
  constexpr double operationsOfLayer = 4e14 * 50e-6;
  double bytes = 1;
  for (const cuda::DeviceBlock& weight : model.weights) bytes += static_cast<double>(weight.size());
  return static_cast<std::int32_t>(std::min(1e6, static_cast<double>(model.layers) * operationsOfLayer / bytes));
}

}  // namespace

GpuRunner::GpuRunner(tensorrt::DeviceMemory memory, DecoderModel model, std::shared_ptr<PartFactory> parts,
                     const GpuRunnerOptions& options)
    : memory_(std::move(memory)),
      model_(std::move(model)),
      options_(options),
      decodeSizes_(options.oneSize ? options.limits.decodeRows : 1, options.limits.decodeRows),
      promptSizes_(options.oneSize ? options.capturedPromptRows : leastPromptRows,
                   std::min(options.capturedPromptRows, options.limits.prefillRows)),
      chosenSizes_(1, mostChosen(options.limits)),
      promptRuns_(std::min(options.limits.slots, mostPromptRuns) + 1),
      worthPadding_(options.oneSize ? options.limits.prefillRows : worthPadding(model_)),
      stream_(memory_.context, "decode"),
      kernels_(kernels::Kernels::of(memory_.context)),
      tables_(options.limits, stream_, memory_.device, memory_.pinned),
      ring_(memory_, options.stepsInFlight, at(std::max(options.limits.decodeRows, options.limits.slots))),
      promptLayout_(std::max(options.limits.prefillRows, options.limits.scoreRows),
                    std::max(promptRuns_, options.limits.slots), mostChosen(options.limits)) {
  const RunnerLimits& limits = options_.limits;
  const std::int32_t rows = std::max({limits.prefillRows, limits.decodeRows, limits.scoreRows});
  const std::int32_t chosen = mostChosen(limits);
  const auto allocate = [&](std::size_t bytes) {
    return memory_.device->allocate(std::max<std::size_t>(bytes, 1), stream_);
  };
  const auto integers = [&](std::int32_t count) { return allocate(at(count) * sizeof(std::int32_t)); };

  const std::size_t bytes = at(limits.pages) * pageBytes(model_);
  std::vector<std::int64_t> addresses(at(model_.layers) * cacheStride / sizeof(std::int64_t));
  for (std::int32_t layer = 0; layer < model_.layers; ++layer) {
    for (std::size_t side = 0; side < 2; ++side) {
      pages_.push_back(allocate(bytes));
      addresses[at(layer) * cacheStride / sizeof(std::int64_t) + side] =
          static_cast<std::int64_t>(pages_.back().address());
    }
  }
  cache_ = allocate(addresses.size() * sizeof(std::int64_t));
  upload<std::int64_t>(cache_, addresses);

  decodeTokens_ = integers(limits.decodeRows);
  decodePositions_ = integers(limits.decodeRows);
  decodeRunStarts_ = integers(limits.decodeRows + 1);
  decodeRunSlots_ = integers(limits.decodeRows);
  decodeSlots_ = integers(limits.decodeRows);
  promptRows_ = allocate(promptLayout_.bytes);
  for (cuda::DeviceBlock& hidden : hidden_) hidden = allocate(hiddenBytes(model_, rows));
  gathered_ = allocate(hiddenBytes(model_, chosen));
  logits_ = allocate(at(chosen) * at(limits.vocabulary) * sizeof(float));
  sampleWorkspace_ = allocate(kernels::sampleWorkspaceBytes(chosen, limits.vocabulary));
  records_ = allocate(at(chosen) * sizeof(kernels::TokenRecord));

  chain_.emplace(model_, std::move(parts),
                 ChainMemory{.cache = cache_.address(),
                             .pages = reinterpret_cast<CUdeviceptr>(tables_.pages()),
                             .hidden = {hidden_[0].address(), hidden_[1].address()},
                             .logits = logits_.address(),
                             .slots = limits.slots,
                             .pagesPerSlot = limits.pagesPerSlot});
  promptContexts_ = chain_->contexts(Range::prefill);
}

GpuRunner::~GpuRunner() {
  try {
    stream_.synchronize();
  } catch (...) {
    // The driver is gone, or has failed, and with it the work.
  }
}

void GpuRunner::capture(const std::function<void(std::size_t done, std::size_t total)>& onCaptured) {
  const auto ends = std::ranges::count_if(chosenSizes_, [&](std::int32_t rows) { return rows < promptRuns_; });
  const std::size_t total = decodeSizes_.size() + promptSizes_.size() + static_cast<std::size_t>(ends);
  std::size_t done = 0;
  const auto captured = [&] { onCaptured(++done, total); };
  for (const std::int32_t rows : decodeSizes_) {
    decodeGraph(rows);
    captured();
  }
  for (const std::int32_t rows : promptSizes_) {
    promptGraph(rows);
    captured();
  }
  for (const std::int32_t rows : chosenSizes_) {
    if (rows >= promptRuns_) continue;
    endGraph(rows);
    captured();
  }
  // The first step does not pay for it.
  stream_.synchronize();
}

void GpuRunner::copyPage(Page from, Page to) {
  const std::size_t bytes = pageBytes(model_);
  for (cuda::DeviceBlock& pages : pages_)
    cuda::copyOnDevice(stream_, pages, at(to) * bytes, pages, at(from) * bytes, bytes);
}

StepNumber GpuRunner::prefill(std::span<const PromptRun> runs) {
  const std::int32_t rows = rowsOf(runs);
  const std::int32_t padded = paddedRows(rows, runs.size());
  const std::int32_t chosen = chosenOf(runs, Chosen::last);
  const std::int32_t ends = chosen == 0 ? 0 : chosenSizes_.holding(chosen);
  // Where memory is too short to capture, nothing is queued.
  const cuda::Graph* const end = ends == 0 ? nullptr : &endGraph(ends);
  if (padded > 0) {
    const cuda::Graph& graph = promptGraph(padded);
    uploadPrompts(runs, Chosen::last, {.rows = padded, .runs = promptRuns_, .chosen = ends});
    graph.launch(stream_);
  } else {
    const auto count = static_cast<std::int32_t>(runs.size());
    uploadPrompts(runs, Chosen::last, {.rows = rows, .runs = count, .chosen = ends});
    chain_->shape(promptContexts_, rows, count);
    chain_->queue(promptContexts_, promptInputs(), stream_);
  }
  if (end != nullptr) end->launch(stream_);
  return ring_.finish(stream_, records_, at(chosen));
}

StepNumber GpuRunner::decode(std::span<const std::int32_t> slots) {
  const std::int32_t rows = decodeSizes_.holding(static_cast<std::int32_t>(slots.size()));
  if (rows == 0) throw std::invalid_argument("more rows than a step of streams takes");
  const cuda::Graph& graph = decodeGraph(rows);
  std::vector<std::int32_t> padded(slots.begin(), slots.end());
  padded.resize(at(rows), -1);
  uploadSlots(std::move(padded));
  graph.launch(stream_);
  return ring_.finish(stream_, records_, slots.size());
}

void GpuRunner::score(const PromptRun& run, std::span<float> logits) {
  const std::span<const PromptRun> runs(&run, 1);
  const std::int32_t rows = rowsOf(runs);
  const std::int32_t chosen = chosenSizes_.holding(rows);
  uploadPrompts(runs, Chosen::all, {.rows = rows, .runs = 1, .chosen = chosen});
  chain_->shape(promptContexts_, rows, 1);
  chain_->queue(promptContexts_, promptInputs(), stream_);
  queueLogits(chosen);
  cuda::PinnedBlock host = memory_.pinned->allocate(logits.size_bytes());
  cuda::copyToHost(stream_, host, 0, logits_, 0, logits.size_bytes());
  stream_.synchronize();
  std::memcpy(logits.data(), host.data(), logits.size_bytes());
}

std::int32_t GpuRunner::paddedRows(std::int32_t rows, std::size_t runs) const noexcept {
  const std::int32_t padded = promptSizes_.holding(rows);
  return runs < at(promptRuns_) && padded - rows <= worthPadding_ ? padded : 0;
}

void GpuRunner::uploadPrompts(std::span<const PromptRun> runs, Chosen chosen, const PromptSizes& sizes) {
  const RunnerLimits& limits = options_.limits;
  if (sizes.rows > std::max(limits.prefillRows, limits.scoreRows) || runs.size() > at(limits.slots) ||
      sizes.chosen > mostChosen(limits) || chosenOf(runs, chosen) > sizes.chosen)
    throw std::invalid_argument("more rows than a step of prompts takes");
  upload<std::int32_t>(promptRows_, promptRows(promptLayout_, runs, chosen, sizes));
}

void GpuRunner::queueLogits(std::int32_t rows) {
  const cuda::Current current(*memory_.context);
  kernels::embed(*kernels_, stream_.handle(), model_.type,
                 {.tokens = reinterpret_cast<const std::int32_t*>(promptRows_.address() + promptLayout_.chosenRows),
                  .table = reinterpret_cast<const void*>(chain_->result()),
                  .out = pointer<void>(gathered_),
                  .rows = rows,
                  .width = model_.hiddenSize,
                  .vocabulary = static_cast<std::int32_t>(hidden_[0].size() / hiddenBytes(model_, 1))});
  chain_->queueEpilogue(epilogue(rows), gathered_.address(), stream_);
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

// One for each number of rows, whatever it follows.
Part& GpuRunner::epilogue(std::int32_t rows) {
  std::unique_ptr<Part>& part = epilogues_[rows];
  if (part == nullptr) part = chain_->epilogue(rows);
  return *part;
}

const cuda::Graph& GpuRunner::decodeGraph(std::int32_t rows) {
  Captured& captured = decodeGraphs_[rows];
  if (captured.graph) return *captured.graph;
  const RowInputs inputs{.tokens = decodeTokens_.address(),
                         .positions = decodePositions_.address(),
                         .runStarts = decodeRunStarts_.address(),
                         .runSlots = decodeRunSlots_.address()};
  captured.contexts = chain_->contexts(rows <= options_.narrowRows ? Range::decode : Range::wide);
  chain_->shape(captured.contexts, rows, rows);
  Part& last = epilogue(rows);
  const auto begin = [&] {
    const cuda::Current current(*memory_.context);
    kernels::beginStep(*kernels_, stream_.handle(),
                       {.slots = pointer<const std::int32_t>(decodeSlots_),
                        .states = tables_.states(),
                        .tokens = pointer<std::int32_t>(decodeTokens_),
                        .positions = pointer<std::int32_t>(decodePositions_),
                        .runStarts = pointer<std::int32_t>(decodeRunStarts_),
                        .runSlots = pointer<std::int32_t>(decodeRunSlots_),
                        .rows = rows});
  };
  uploadSlots(std::vector<std::int32_t>(at(rows), -1));
  begin();
  chain_->prepare(captured.contexts, inputs, stream_);
  chain_->queueEpilogue(last, chain_->result(), stream_);
  captured.graph.emplace(cuda::Graph::capture(stream_, [&] {
    begin();
    chain_->queue(captured.contexts, inputs, stream_);
    chain_->queueEpilogue(last, chain_->result(), stream_);
    chooseTokens(rows, inputs.runSlots);
  }));
  return *captured.graph;
}

const cuda::Graph& GpuRunner::promptGraph(std::int32_t rows) {
  Captured& captured = promptGraphs_[rows];
  if (captured.graph) return *captured.graph;
  captured.contexts = chain_->contexts(Range::prefill);
  chain_->shape(captured.contexts, rows, promptRuns_);
  uploadPrompts({}, Chosen::last, {.rows = rows, .runs = promptRuns_, .chosen = 0});
  chain_->prepare(captured.contexts, promptInputs(), stream_);
  captured.graph.emplace(
      cuda::Graph::capture(stream_, [&] { chain_->queue(captured.contexts, promptInputs(), stream_); }));
  return *captured.graph;
}

const cuda::Graph& GpuRunner::endGraph(std::int32_t rows) {
  const auto found = endGraphs_.find(rows);
  if (found != endGraphs_.end()) return found->second;
  uploadPrompts({}, Chosen::last, {.rows = 1, .runs = 1, .chosen = rows});
  queueLogits(rows);
  auto graph = cuda::Graph::capture(stream_, [&] {
    queueLogits(rows);
    chooseTokens(rows, promptRows_.address() + promptLayout_.chosenSlots);
  });
  return endGraphs_.emplace(rows, std::move(graph)).first->second;
}

RowInputs GpuRunner::promptInputs() const noexcept {
  const CUdeviceptr block = promptRows_.address();
  return {.tokens = block + promptLayout_.tokens,
          .positions = block + promptLayout_.positions,
          .runStarts = block + promptLayout_.runStarts,
          .runSlots = block + promptLayout_.runSlots};
}

// Streams are mostly the same from step to step.
void GpuRunner::uploadSlots(std::vector<std::int32_t> slots) {
  if (slots == uploadedSlots_) return;
  uploadedSlots_.clear();
  upload<std::int32_t>(decodeSlots_, slots);
  uploadedSlots_ = std::move(slots);
}

template <typename T>
void GpuRunner::upload(cuda::DeviceBlock& to, std::span<const T> from) {
  // Back to its pool at once, and used again after the copy.
  cuda::PinnedBlock staging = memory_.pinned->allocate(from.size_bytes());
  std::memcpy(staging.data(), from.data(), from.size_bytes());
  cuda::copyToDevice(stream_, to, 0, staging, 0, from.size_bytes());
}

}  // namespace tensorrt_node::decode
