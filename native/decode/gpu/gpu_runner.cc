#include "gpu_runner.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "../../cuda/copy.h"
#include "../../cuda/driver.h"
#include "../../cuda/error.h"
#include "../../files/error.h"
#include "../../kernels/launch.h"
#include "layer_timing.h"

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
  return kernels::cachePageBytes(model.cacheType, model.kvHeads, pageTokens, model.headSize);
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
  for (const std::uint64_t weight : model.weightBytes) bytes += static_cast<double>(weight);
  return static_cast<std::int32_t>(std::min(1e6, static_cast<double>(model.layers) * operationsOfLayer / bytes));
}

// What profiles call a run.
std::string nameOf(const DecoderModel& model, std::size_t run) {
  if (run == 0) return "prologue";
  if (run + 1 == model.runs.size()) return "epilogue";
  const std::int32_t layer = model.runs[run].layer;
  return layer < 0 ? "part " + std::to_string(run) : "layer " + std::to_string(layer);
}

std::vector<std::shared_ptr<const profile::GraphParts>> partsOf(const DecoderModel& model) {
  std::vector<std::shared_ptr<const profile::GraphParts>> parts;
  for (std::size_t run = 0; run < model.runs.size(); ++run)
    parts.push_back(std::make_shared<const profile::GraphParts>(1, profile::GraphPart{nameOf(model, run), 0}));
  return parts;
}

// Of weights that runs first to end - 1 read whole. What several runs share, such as the angles of rotations, is a
// table: rows of it are read.
std::uint64_t bytesRead(const DecoderModel& model, std::size_t first, std::size_t end) {
  std::map<std::size_t, int> uses;
  for (std::size_t run = first; run < end; ++run)
    for (const WeightInput& input : model.runs[run].weights) ++uses[input.weight];
  std::uint64_t bytes = 0;
  for (const auto& [weight, times] : uses)
    if (times == 1) bytes += model.weightBytes[weight];
  return bytes;
}

void tellReads(std::uint64_t bytes) noexcept {
  if (profile::Step* const step = profile::Step::current()) step->reads(bytes);
}

// What bringing weights may fail with, without harm to the steps that follow: the step is lost.
template <typename Bring>
void orLost(Bring bring) {
  try {
    bring();
  } catch (const files::FileError&) {
    throw StepLostError(std::current_exception());
  } catch (const cuda::CudaError& error) {
    if (error.result() != CUDA_ERROR_OUT_OF_MEMORY) throw;
    throw StepLostError(std::current_exception());
  }
}

}  // namespace

GpuRunner::ScratchLayout::ScratchLayout(const DecoderModel& model, const RunnerLimits& limits)
    : rows(std::max({limits.prefillRows, limits.decodeRows, limits.scoreRows})), bytes(0) {
  // What TensorRT wants of inputs.
  constexpr std::size_t alignment = 256;
  const auto add = [&](std::size_t size) {
    const std::size_t offset = bytes;
    bytes += (size + alignment - 1) / alignment * alignment;
    return offset;
  };
  const std::int32_t chosen = mostChosen(limits);
  for (std::size_t& each : hidden) each = add(hiddenBytes(model, rows));
  gathered = add(hiddenBytes(model, chosen));
  logits = add(at(chosen) * at(limits.vocabulary) * sizeof(float));
  sampling = add(kernels::sampleWorkspaceBytes(chosen, limits.vocabulary));
}

GpuRunner::GpuRunner(tensorrt::DeviceMemory memory, DecoderModel model, std::shared_ptr<weights::StepWeights> weights,
                     std::shared_ptr<PartFactory> parts, const GpuRunnerOptions& options)
    : memory_(std::move(memory)),
      model_(std::move(model)),
      weights_(std::move(weights)),
      parts_(std::move(parts)),
      options_(options),
      runParts_(partsOf(model_)),
      blockBytes_(bytesRead(model_, 1, model_.runs.size() - 1)),
      epilogueBytes_(bytesRead(model_, model_.runs.size() - 1, model_.runs.size())),
      decodeSizes_(options.oneSize ? options.limits.decodeRows : 1, options.limits.decodeRows),
      promptSizes_(options.oneSize ? options.capturedPromptRows : leastPromptRows,
                   std::min(options.capturedPromptRows, options.limits.prefillRows)),
      chosenSizes_(1, mostChosen(options.limits)),
      promptRuns_(std::min(options.limits.slots, mostPromptRuns) + 1),
      worthPadding_(options.oneSize ? options.limits.prefillRows : worthPadding(model_)),
      stream_(memory_.context, "decode"),
      timer_(stream_),
      kernels_(kernels::Kernels::of(memory_.context)),
      tables_(options.limits, stream_, memory_.device, memory_.pinned),
      ring_(memory_, options.stepsInFlight, at(std::max(options.limits.decodeRows, options.limits.slots))),
      pages_(memory_, {.layers = model_.layers, .pages = options.limits.pages, .pageBytes = pageBytes(model_)},
             stream_),
      promptLayout_(std::max(options.limits.prefillRows, options.limits.scoreRows),
                    std::max(promptRuns_, options.limits.slots), mostChosen(options.limits)),
      layout_(model_, options.limits),
      scratch_(memory_, layout_.bytes) {
  const RunnerLimits& limits = options_.limits;
  const auto allocate = [&](std::size_t bytes) {
    return memory_.device->allocate(std::max<std::size_t>(bytes, 1), stream_);
  };
  const auto integers = [&](std::int32_t count) { return allocate(at(count) * sizeof(std::int32_t)); };

  std::vector<std::int64_t> addresses(at(model_.layers) * cacheStride / sizeof(std::int64_t));
  for (std::int32_t layer = 0; layer < model_.layers; ++layer)
    for (std::int32_t side = 0; side < 2; ++side)
      addresses[at(layer) * cacheStride / sizeof(std::int64_t) + at(side)] =
          static_cast<std::int64_t>(pages_.address(layer, side));
  cache_ = allocate(addresses.size() * sizeof(std::int64_t));
  upload<std::int64_t>(cache_, addresses);

  decodeTokens_ = integers(limits.decodeRows);
  decodePositions_ = integers(limits.decodeRows);
  decodeRunStarts_ = integers(limits.decodeRows + 1);
  decodeRunSlots_ = integers(limits.decodeRows);
  decodeSlots_ = integers(limits.decodeRows);
  promptRows_ = allocate(promptLayout_.bytes);
  records_ = allocate(at(mostChosen(limits)) * sizeof(kernels::TokenRecord));

  chain_.emplace(model_, *weights_, parts_,
                 ChainMemory{.cache = cache_.address(),
                             .pages = reinterpret_cast<CUdeviceptr>(tables_.pages()),
                             .hidden = {scratch_.address() + layout_.hidden[0], scratch_.address() + layout_.hidden[1]},
                             .logits = scratch_.address() + layout_.logits,
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
    decodeGraphs(rows);
    captured();
  }
  for (const std::int32_t rows : promptSizes_) {
    promptGraphs(rows);
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

bool GpuRunner::done(StepNumber step) {
  if (!ring_.done(step)) return false;
  timer_.poll();
  return true;
}

void GpuRunner::wait(StepNumber step) {
  ring_.wait(step);
  timer_.poll();
}

StepNumber GpuRunner::prefill(std::span<const PromptRun> runs) {
  {
    const profile::StepTimer::Mark mark(timer_);
    queuePrompts(runs);
  }
  return ring_.finish(stream_, records_, at(chosenOf(runs, Chosen::last)));
}

void GpuRunner::queuePrompts(std::span<const PromptRun> runs) {
  beginWeights();
  const std::int32_t rows = rowsOf(runs);
  const std::int32_t padded = paddedRows(rows, runs.size());
  const std::int32_t chosen = chosenOf(runs, Chosen::last);
  const std::int32_t ends = chosen == 0 ? 0 : chosenSizes_.holding(chosen);
  // Where memory is too short to capture, nothing is queued.
  const Segment* const end = ends == 0 ? nullptr : &endGraph(ends);
  tellReads(blockBytes_ + (end == nullptr ? 0 : epilogueBytes_));
  if (padded > 0) {
    const Captured& captured = promptGraphs(padded);
    uploadPrompts(runs, Chosen::last, {.rows = padded, .runs = promptRuns_, .chosen = ends});
    launch(captured);
  } else {
    const auto count = static_cast<std::int32_t>(runs.size());
    uploadPrompts(runs, Chosen::last, {.rows = rows, .runs = count, .chosen = ends});
    chain_->shape(promptContexts_, rows, count);
    queueRuns(promptContexts_, promptInputs());
  }
  if (end != nullptr) {
    const profile::StepPart part(end->parts);
    end->graph.launch(stream_);
  }
}

StepNumber GpuRunner::decode(std::span<const std::int32_t> slots) {
  const std::int32_t rows = decodeSizes_.holding(static_cast<std::int32_t>(slots.size()));
  if (rows == 0) throw std::invalid_argument("more rows than a step of streams takes");
  {
    const profile::StepTimer::Mark mark(timer_);
    beginWeights();
    const Captured& captured = decodeGraphs(rows);
    std::vector<std::int32_t> padded(slots.begin(), slots.end());
    padded.resize(at(rows), -1);
    tellReads(blockBytes_ + epilogueBytes_);
    uploadSlots(std::move(padded));
    launch(captured);
  }
  return ring_.finish(stream_, records_, slots.size());
}

void GpuRunner::score(const PromptRun& run, std::span<float> logits) {
  const std::span<const PromptRun> runs(&run, 1);
  const std::int32_t rows = rowsOf(runs);
  const std::int32_t chosen = chosenSizes_.holding(rows);
  // What may run out comes before anything is queued.
  cuda::PinnedBlock host = memory_.pinned->allocate(logits.size_bytes());
  beginWeights();
  uploadPrompts(runs, Chosen::all, {.rows = rows, .runs = 1, .chosen = chosen});
  chain_->shape(promptContexts_, rows, 1);
  tellReads(blockBytes_ + epilogueBytes_);
  queueRuns(promptContexts_, promptInputs());
  {
    const profile::StepPart part(runParts_.back());
    queueLogits(chosen);
  }
  {
    const cuda::Current current(*memory_.context);
    cuda::check(cuda::driver().cuMemcpyDtoHAsync(host.data(), scratch_.address() + layout_.logits, logits.size_bytes(),
                                                 stream_.handle()),
                "cuMemcpyDtoHAsync", "logits");
  }
  stream_.synchronize();
  cuda::noteHostAccess(host.data(), logits.size_bytes(), false);
  std::memcpy(logits.data(), host.data(), logits.size_bytes());
}

bool GpuRunner::suspend(std::span<const Page> pages, bool keepRam) {
  if (!pages_.movable())
    throw cuda::CudaError(CUDA_ERROR_NOT_SUPPORTED, "cuMemAddressReserve", "the driver cannot move a model's memory");
  const bool saved = pages_.save(pages);
  try {
    weights_->evict(stream_, keepRam);
  } catch (...) {
    pages_.forget();
    throw;
  }
  // Whatever was queued used it.
  stream_.synchronize();
  pages_.give();
  scratch_.give();
  parts_->give();
  return saved;
}

void GpuRunner::resume() {
  try {
    pages_.take();
    scratch_.take();
    parts_->take();
    weights_->restore();
  } catch (...) {
    pages_.give();
    scratch_.give();
    parts_->give();
    throw;
  }
  pages_.restore();
}

RunnerUsage GpuRunner::usage() {
  return {.weights = weights_->bytes(),
          .moved = weights_->counters(),
          .cache = pages_.bytes(),
          .savedCache = pages_.savedBytes(),
          .scratch = scratch_.bytes() + parts_->scratchBytes()};
}

void GpuRunner::beginWeights() {
  orLost([&] { weights_->begin(stream_); });
}

template <typename Queue>
void GpuRunner::withWeights(std::optional<std::size_t> streamed, Queue queue) {
  if (!streamed) return queue();
  orLost([&] { weights_->acquire(*streamed, stream_); });
  queue();
  weights_->release(*streamed, stream_);
}

void GpuRunner::launch(const Captured& captured) {
  if (captured.segments.size() == 1) {
    // One range for all of the step costs less than one more for this.
    const Segment& all = captured.segments.front();
    if (profile::Step* const step = profile::Step::current()) step->mostly(all.parts);
    return withWeights(all.streamed, [&] { all.graph.launch(stream_); });
  }
  for (const Segment& segment : captured.segments) {
    withWeights(segment.streamed, [&] {
      const profile::StepPart part(segment.parts);
      segment.graph.launch(stream_);
    });
  }
}

void GpuRunner::queueRuns(PartChain::Contexts& contexts, const RowInputs& inputs) {
  for (const RunRange& range : chain_->ranges())
    withWeights(range.streamed ? std::optional(range.first) : std::nullopt, [&] {
      for (std::size_t run = range.first; run < range.end; ++run) {
        const profile::StepPart part(runParts_[run]);
        chain_->queue(contexts, {run, run + 1, range.streamed}, inputs, stream_);
      }
    });
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
                  .out = scratch<void>(layout_.gathered),
                  .rows = rows,
                  .width = model_.hiddenSize,
                  .vocabulary = layout_.rows});
  chain_->queueEpilogue(epilogue(rows), scratch_.address() + layout_.gathered, stream_);
}

void GpuRunner::chooseTokens(std::int32_t rows, CUdeviceptr slots) {
  const cuda::Current current(*memory_.context);
  kernels::sample(*kernels_, stream_.handle(),
                  {.logits = scratch<const float>(layout_.logits),
                   .slots = reinterpret_cast<const std::int32_t*>(slots),
                   .sampling = tables_.sampling(),
                   .states = tables_.states(),
                   .records = pointer<kernels::TokenRecord>(records_),
                   .workspace = scratch<void>(layout_.sampling),
                   .rows = rows,
                   .vocabulary = options_.limits.vocabulary});
}

// One for each number of rows, whatever it follows.
Part& GpuRunner::epilogue(std::int32_t rows) {
  std::unique_ptr<Part>& part = epilogues_[rows];
  if (part == nullptr) part = chain_->epilogue(rows);
  return *part;
}

const GpuRunner::Captured& GpuRunner::decodeGraphs(std::int32_t rows) {
  Captured& captured = decodeGraphs_[rows];
  if (!captured.segments.empty()) return captured;
  const RowInputs inputs = decodeInputs();
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
  chain_->prepare(captured.contexts, inputs, blank().address(), stream_);
  chain_->queueEpilogue(last, chain_->result(), stream_);
  captured.segments = captureRuns(captured.contexts, inputs, begin, [&](CapturedParts& parts) {
    chain_->queueEpilogue(last, chain_->result(), stream_);
    parts.end(runParts_.back()->front().name);
    chooseTokens(rows, inputs.runSlots);
    parts.end("sampling");
  });
  return captured;
}

const GpuRunner::Captured& GpuRunner::promptGraphs(std::int32_t rows) {
  Captured& captured = promptGraphs_[rows];
  if (!captured.segments.empty()) return captured;
  captured.contexts = chain_->contexts(Range::prefill);
  chain_->shape(captured.contexts, rows, promptRuns_);
  uploadPrompts({}, Chosen::last, {.rows = rows, .runs = promptRuns_, .chosen = 0});
  chain_->prepare(captured.contexts, promptInputs(), blank().address(), stream_);
  captured.segments = captureRuns(captured.contexts, promptInputs(), {}, {});
  return captured;
}

GpuRunner::Segment GpuRunner::captureSegment(const std::function<void(CapturedParts&)>& queue) {
  CapturedParts parts(stream_);
  auto graph = cuda::Graph::capture(stream_, [&] { queue(parts); });
  return {std::nullopt, parts.take(), std::move(graph)};
}

std::vector<GpuRunner::Segment> GpuRunner::captureRuns(PartChain::Contexts& contexts, const RowInputs& inputs,
                                                       const std::function<void()>& before,
                                                       const std::function<void(CapturedParts&)>& after) {
  std::vector<Segment> segments;
  const std::vector<RunRange>& ranges = chain_->ranges();
  for (const RunRange& range : ranges) {
    const bool last = &range == &ranges.back() && !range.streamed;
    segments.push_back(captureSegment([&](CapturedParts& parts) {
      if (segments.empty() && before) before();
      for (std::size_t run = range.first; run < range.end; ++run) {
        chain_->queue(contexts, {run, run + 1, range.streamed}, inputs, stream_);
        parts.end(runParts_[run]->front().name);
      }
      if (last && after) after(parts);
    }));
    if (range.streamed) segments.back().streamed = range.first;
  }
  if (ranges.back().streamed && after) segments.push_back(captureSegment(after));
  return segments;
}

cuda::DeviceBlock GpuRunner::blank() {
  const auto bytes = static_cast<std::size_t>(chain_->blankBytes());
  return bytes == 0 ? cuda::DeviceBlock() : memory_.device->allocate(bytes, stream_);
}

const GpuRunner::Segment& GpuRunner::endGraph(std::int32_t rows) {
  const auto found = endGraphs_.find(rows);
  if (found != endGraphs_.end()) return found->second;
  uploadPrompts({}, Chosen::last, {.rows = 1, .runs = 1, .chosen = rows});
  queueLogits(rows);
  Segment segment = captureSegment([&](CapturedParts& parts) {
    queueLogits(rows);
    parts.end(runParts_.back()->front().name);
    chooseTokens(rows, promptRows_.address() + promptLayout_.chosenSlots);
    parts.end("sampling");
  });
  return endGraphs_.emplace(rows, std::move(segment)).first->second;
}

RowInputs GpuRunner::promptInputs() const noexcept {
  const CUdeviceptr block = promptRows_.address();
  return {.tokens = block + promptLayout_.tokens,
          .positions = block + promptLayout_.positions,
          .runStarts = block + promptLayout_.runStarts,
          .runSlots = block + promptLayout_.runSlots};
}

RowInputs GpuRunner::decodeInputs() const noexcept {
  return {.tokens = decodeTokens_.address(),
          .positions = decodePositions_.address(),
          .runStarts = decodeRunStarts_.address(),
          .runSlots = decodeRunSlots_.address()};
}

std::int32_t GpuRunner::layerRows(StepKind kind, std::int32_t rows) const {
  if (kind == StepKind::decode) return decodeSizes_.holding(rows);
  return rows <= options_.limits.prefillRows ? rows : 0;
}

StepLayers GpuRunner::layers(const StepLayersRequest& request, std::span<const std::int32_t> slots,
                             const std::function<bool()>& stopped) {
  const bool decoding = request.kind == StepKind::decode;
  TimedParts parts;
  std::int32_t rows = decoding ? static_cast<std::int32_t>(slots.size()) : request.rows;
  std::int32_t runs = decoding ? rows : 1;
  if (decoding) {
    std::vector<std::int32_t> starts(at(rows) + 1);
    std::iota(starts.begin(), starts.end(), 0);
    upload<std::int32_t>(decodeTokens_, std::vector<std::int32_t>(at(rows)));
    upload<std::int32_t>(decodePositions_, std::vector<std::int32_t>(at(rows), request.context));
    upload<std::int32_t>(decodeRunStarts_, starts);
    upload<std::int32_t>(decodeRunSlots_, slots);
    parts.contexts = chain_->contexts(rows <= options_.narrowRows ? Range::decode : Range::wide);
    parts.inputs = decodeInputs();
    parts.hidden = chain_->result();
  } else {
    const std::vector<std::int32_t> tokens(at(rows));
    const PromptRun run{.slot = slots.front(), .position = request.context, .tokens = tokens, .last = false};
    if (const std::int32_t padded = paddedRows(rows, 1); padded > 0) {
      rows = padded;
      runs = promptRuns_;
    }
    uploadPrompts({&run, 1}, Chosen::last, {.rows = rows, .runs = runs, .chosen = 0});
    parts.contexts = chain_->contexts(Range::prefill);
    parts.inputs = promptInputs();
    parts.hidden = scratch_.address() + layout_.gathered;
  }
  chain_->shape(parts.contexts, rows, runs);
  parts.epilogue = chain_->epilogue(decoding ? rows : 1);
  const auto withWeightsOf = [this](std::size_t run, const std::function<void()>& queue) {
    withWeights(weights_->streamed(run) ? std::optional(run) : std::nullopt, queue);
  };
  StepLayers told = LayerTiming(model_, *chain_, stream_, withWeightsOf)
                        .time(
                            std::move(parts), request, [this] { beginWeights(); }, stopped);
  told.rows = rows;
  return told;
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
