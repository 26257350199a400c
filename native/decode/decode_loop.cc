#include "decode_loop.h"

#include <algorithm>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "../cuda/error.h"
#include "../files/error.h"
#include "../profile/nvtx.h"
#include "../profile/step.h"
#include "../tensorrt/error.h"

namespace tensorrt_node::decode {
namespace {

bool contains(const std::vector<std::int32_t>& tokens, std::int32_t token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

std::exception_ptr disposed(const char* message) {
  return std::make_exception_ptr(DisposedError(message));
}

// Calls `queue`, which queues all or nothing. The error where there is no memory for it; others are thrown.
template <typename Queue>
std::exception_ptr outOfMemoryIn(Queue queue) {
  try {
    queue();
    return nullptr;
  } catch (const cuda::CudaError& error) {
    if (error.result() != CUDA_ERROR_OUT_OF_MEMORY) throw;
    return std::current_exception();
  }
}

// Calls `change`, which changes all or nothing. The error where memory is short or cannot be given up, or a file cannot
// be read; others are thrown.
template <typename Change>
std::exception_ptr refusalOf(Change change) {
  try {
    change();
    return nullptr;
  } catch (const files::FileError&) {
    return std::current_exception();
  } catch (const cuda::CudaError& error) {
    if (error.result() != CUDA_ERROR_OUT_OF_MEMORY && error.result() != CUDA_ERROR_NOT_SUPPORTED) throw;
    return std::current_exception();
  }
}

}  // namespace

// A request that has a slot.
struct DecodeLoop::Active {
  RequestId id;
  Request request;
  std::int32_t slot;
  SequencePages pages;
  // Tokens that it may choose.
  std::int32_t limit;
  Clock::time_point submittedAt;

  // The runner knows it.
  bool begun = false;
  // Tokens of the prompt that are held, or queued to be.
  std::int32_t read = 0;
  // Tokens chosen: in steps queued, in steps done, and by the consumer's word.
  std::int32_t queued = 0;
  std::int32_t received = 0;
  std::int32_t consumed = 0;
  std::int32_t lastToken = 0;
  StepNumber lastStep = 0;
  std::vector<Token> undelivered;

  Timings timings;
  Clock::time_point beganAt;
  Clock::time_point firstTokenAt;
  // While it has its slot.
  profile::NvtxSpan span;

  std::int32_t promptTokens() const noexcept { return static_cast<std::int32_t>(request.tokens.size()); }
};

DecodeLoop::DecodeLoop(StepRunner& runner, const SchedulerOptions& options)
    : runner_(runner),
      options_(options),
      name_(std::make_shared<const std::string>(options.model)),
      limits_(runner.limits()),
      stepsInFlight_(std::clamp<std::size_t>(options.stepsInFlight, 1, runner.stepsInFlight())),
      policy_([&] {
        PolicyOptions policy = options.policy;
        policy.chunk = std::min(policy.chunk, limits_.prefillRows);
        policy.chunkBesideStreams = std::min(policy.chunkBesideStreams, policy.chunk);
        return policy;
      }()),
      cache_(static_cast<std::size_t>(limits_.pages)),
      sharedRoot_(cache_.makeRoot()),
      active_(static_cast<std::size_t>(limits_.slots)) {
  const std::size_t pages = pagesFor(static_cast<std::size_t>(options.maxContext));
  if (pages > static_cast<std::size_t>(std::min(limits_.pages, limits_.pagesPerSlot)))
    throw std::invalid_argument("a sequence of " + std::to_string(options.maxContext) + " tokens takes " +
                                std::to_string(pages) + " pages, there are " + std::to_string(limits_.pages) +
                                ", and a slot has " + std::to_string(limits_.pagesPerSlot));
}

DecodeLoop::~DecodeLoop() = default;

void DecodeLoop::apply(Command command) {
  std::visit([this](auto&& each) { accept(std::move(each)); }, std::move(command));
}

void DecodeLoop::accept(SubmitCommand&& command) {
  waiting_.push_back(std::move(command));
  admissible_ = true;
}

void DecodeLoop::accept(AbortCommand&& command) {
  if (Active* active = find(command.id)) return finish(*active, FinishReason::aborted);
  const auto waiting =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const SubmitCommand& each) { return each.id == command.id; });
  if (waiting == waiting_.end()) return;
  Timings timings;
  timings.queue = milliseconds(Clock::now() - waiting->submittedAt);
  drop(waiting, Finished{FinishReason::aborted, timings});
}

void DecodeLoop::accept(ConsumedCommand&& command) {
  if (Active* active = find(command.id)) active->consumed += command.tokens;
}

void DecodeLoop::accept(CreateSequenceCommand&& command) {
  sequences_[command.id].root = options_.sharePrefixes ? sharedRoot_ : cache_.makeRoot();
}

// What the cache holds of a sequence is found by its tokens, by the copy as by the sequence itself.
void DecodeLoop::accept(ForkSequenceCommand&& command) {
  const auto origin = sequences_.find(command.id);
  if (origin == sequences_.end()) return accept(CreateSequenceCommand{command.copy});
  const auto root = origin->second.root;
  sequences_[command.copy].root = root;
}

void DecodeLoop::accept(DisposeSequenceCommand&& command) {
  if (sequences_.erase(command.id) == 0) return;
  for (const auto& active : active_)
    if (active && active->request.sequence == command.id) finish(*active, FinishReason::aborted);
  for (auto waiting = waiting_.begin(); waiting != waiting_.end();)
    waiting = waiting->request.sequence == command.id
                  ? drop(waiting, disposed("the session was disposed before its request began"))
                  : std::next(waiting);
}

void DecodeLoop::accept(ScoreCommand&& command) {
  scores_.push_back(std::move(command));
  admissible_ = true;
}

void DecodeLoop::accept(SuspendCommand&& command) {
  if (suspended_) return settleLater(std::move(command.settled), nullptr);
  if (!command.options.finishRunning) {
    const auto error = std::make_exception_ptr(SuspendedError("the model is being suspended"));
    for (const auto& active : active_)
      if (active) fail(*active, error);
    if (scoring_) scores_.push_front(std::move(scoring_->command));
    scoring_.reset();
    failWaiting(error);
  }
  suspending_.push_back(std::move(command));
}

void DecodeLoop::accept(ResumeCommand&& command) {
  const auto error = std::make_exception_ptr(SuspendedError("the model was resumed before it was suspended"));
  for (const SuspendCommand& each : std::exchange(suspending_, {})) settleLater(each.settled, error);
  if (!suspended_) return settleLater(std::move(command.settled), nullptr);
  resuming_.push_back(std::move(command));
}

void DecodeLoop::accept(LayersCommand&& command) {
  try {
    command.told(layersOf(command), nullptr);
    return;
  } catch (const StepLostError& lost) {
    command.told({}, lost.cause());
  } catch (const cuda::CudaError& error) {
    command.told({}, std::current_exception());
    if (error.result() != CUDA_ERROR_OUT_OF_MEMORY) throw;
  } catch (...) {
    // Of TensorRT, or of what was asked for: nothing else was touched.
    command.told({}, std::current_exception());
  }
}

StepLayers DecodeLoop::layersOf(const LayersCommand& command) {
  const StepLayersRequest& request = command.request;
  if (suspended_ || !suspending_.empty()) throw SuspendedError("the model is suspended");
  if (scoring_ || !scores_.empty() || !waiting_.empty() ||
      std::ranges::any_of(active_, [](const auto& each) { return each != nullptr; }))
    throw QueueFullError("the model has requests under way");
  // What is left of steps whose requests ended is soon over.
  for (; !inFlight_.empty(); settleFront()) runner_.wait(inFlight_.front().number);
  const bool decoding = request.kind == StepKind::decode;
  const std::int32_t rows = request.rows < 1 ? 0 : runner_.layerRows(request.kind, request.rows);
  if (rows < 1 || (decoding && rows > limits_.slots))
    throw tensorrt::UnsupportedError("no step has " + std::to_string(request.rows) + " rows");
  const std::int64_t total = std::int64_t{request.context} + (decoding ? 1 : rows);
  if (request.context < 0 || total > options_.maxContext)
    throw tensorrt::UnsupportedError("a sequence has at most " + std::to_string(options_.maxContext) +
                                     " tokens, and not " + std::to_string(total));
  const std::vector<std::int32_t> tokens(static_cast<std::size_t>(total));
  std::vector<SequencePages> pages;
  std::vector<std::int32_t> slots;
  for (std::int32_t slot = 0; slot < (decoding ? rows : 1); ++slot) {
    auto own = cache_.reserve(std::nullopt, tokens, tokens.size());
    if (!own)
      throw tensorrt::UnsupportedError("the cache has too few pages for " + std::to_string(rows) + " sequences of " +
                                       std::to_string(total) + " tokens");
    runner_.begin({slot, own->pages(), tokens, 1, {}});
    pages.push_back(std::move(*own));
    slots.push_back(slot);
  }
  return runner_.layers(request, slots, command.stopped);
}

void DecodeLoop::settle() {
  while (!inFlight_.empty() && runner_.done(inFlight_.front().number)) settleFront();
}

bool DecodeLoop::advance() {
  if (!suspending_.empty() && idle()) suspendNow();
  if (suspended_ && !wake()) return false;
  // Those that wait begin when it is back.
  if (suspending_.empty()) admit();
  scorePiece();
  while (inFlight_.size() < stepsInFlight_ && queueStep()) continue;
  // A step that was lost may have been the last thing to do before a suspension.
  const bool changed = suspending_.empty() ? admissible_ : idle();
  return !inFlight_.empty() || scoring_ || changed;
}

void DecodeLoop::settleLater(Settled settled, std::exception_ptr error) {
  settled_.emplace_back([settled = std::move(settled), error = std::move(error)] { settled(error); });
}

bool DecodeLoop::idle() const noexcept {
  return inFlight_.empty() && !scoring_ && std::ranges::all_of(active_, [](const auto& each) { return !each; });
}

void DecodeLoop::suspendNow() {
  const std::vector<Page> kept = cache_.pool().keptPages();
  const bool keepRam =
      std::ranges::all_of(suspending_, [](const SuspendCommand& each) { return each.options.keepRam; });
  bool saved = true;
  const auto error = refusalOf([&] { saved = runner_.suspend(kept, keepRam); });
  if (!error) {
    suspended_ = true;
    if (!saved) cache_.dropKept();
  }
  // What was held up meanwhile.
  admissible_ = true;
  for (const SuspendCommand& each : std::exchange(suspending_, {})) settleLater(each.settled, error);
}

bool DecodeLoop::wake() {
  if (waiting_.empty() && scores_.empty() && resuming_.empty()) return false;
  const auto error = refusalOf([&] { runner_.resume(); });
  if (error) {
    failWaiting(error);
  } else {
    suspended_ = false;
  }
  for (const ResumeCommand& each : std::exchange(resuming_, {})) settleLater(each.settled, error);
  return !suspended_;
}

void DecodeLoop::await() {
  if (!inFlight_.empty()) runner_.wait(inFlight_.front().number);
}

void DecodeLoop::settleFront() {
  const Step step = std::move(inFlight_.front());
  inFlight_.pop_front();
  count(step);
  const auto records = runner_.records(step.number);
  for (std::size_t i = 0; i < step.rows.size(); ++i) {
    if (records[i].token == kernels::notRunning) {
      ++stats_.wastedRows;
      continue;
    }
    const auto& active = active_[static_cast<std::size_t>(step.rows[i].slot)];
    if (!active || active->id != step.rows[i].request) continue;
    if (records[i].token < 0) {
      fail(*active, std::make_exception_ptr(SamplingError(records[i].token)));
    } else {
      receive(*active, records[i]);
    }
  }
}

void DecodeLoop::count(const Step& step) {
  StepHistograms& histograms = stats_.histograms;
  const auto now = Clock::now();
  const double seconds = milliseconds(now - std::max(step.queuedAt, lastEnd_)) / 1000;
  lastEnd_ = now;
  if (step.kind == StepKind::decode) {
    histograms.decodeSeconds.observe(seconds);
    histograms.decodeRows.observe(static_cast<double>(step.rows.size()));
  } else {
    histograms.prefillSeconds.observe(seconds);
  }
  const auto& moved = runner_.usage().moved;
  if (moved.blocks == 0) return;
  const double waited = moved.computeWaitSeconds + moved.hostWaitSeconds;
  histograms.weightsWaitSeconds.observe(std::max(0.0, waited - waited_));
  waited_ = waited;
}

void DecodeLoop::receive(Active& active, const kernels::TokenRecord& record) {
  const auto now = Clock::now();
  if (active.received == 0) {
    active.firstTokenAt = now;
    active.timings.prefill = milliseconds(now - active.beganAt);
  } else {
    // The step that chose this token wrote the keys and values of the one before.
    active.pages.written({&active.lastToken, 1});
  }
  active.timings.decode = milliseconds(now - active.firstTokenAt);
  active.lastToken = record.token;
  ++active.received;

  Token token{record.token, record.logprob, {}};
  const std::int32_t top = std::min(active.request.sampling.logprobs, kernels::maxLogprobs);
  for (std::int32_t i = 0; i < top; ++i) token.top.push_back({record.topTokens[i], record.topLogprobs[i]});
  active.undelivered.push_back(std::move(token));

  if (contains(active.request.sampling.stopTokens, record.token)) {
    finish(active, FinishReason::stop);
  } else if (record.finished != 0 || active.received == active.limit) {
    finish(active, FinishReason::length);
  }
}

void DecodeLoop::admit() {
  if (!std::exchange(admissible_, false)) return;
  if (!admitScore()) return;
  for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
    if (const auto sequence = waiting->request.sequence) {
      const auto found = sequences_.find(*sequence);
      if (found == sequences_.end()) {
        waiting = drop(waiting, disposed("the session was disposed before its request began"));
        continue;
      }
      if (found->second.inUse) {
        ++waiting;
        continue;
      }
    }
    // Where memory is short nobody overtakes: a large request would wait for ever.
    const auto slot = freeSlot();
    if (!slot) return;
    auto pages = reserve(waiting->request);
    if (!pages) return;
    SubmitCommand command = std::move(*waiting);
    waiting = waiting_.erase(waiting);
    ++left_;
    activate(std::move(command), *slot, std::move(*pages));
  }
}

std::optional<SequencePages> DecodeLoop::reserve(const Request& request) {
  std::optional<PrefixNode> root;
  if (!options_.reusePrefixes) {
    // Found by nobody.
  } else if (request.sequence) {
    root = sequences_.at(*request.sequence).root;
  } else if (options_.sharePrefixes) {
    root = sharedRoot_;
  }
  // The last token is delivered, and never run.
  return cache_.reserve(root, request.tokens, request.tokens.size() + static_cast<std::size_t>(limitOf(request)) - 1);
}

// Tokens that it may choose. The last one need not fit into the context.
std::int32_t DecodeLoop::limitOf(const Request& request) const {
  return std::min(request.maxNewTokens, options_.maxContext + 1 - static_cast<std::int32_t>(request.tokens.size()));
}

void DecodeLoop::activate(SubmitCommand&& command, std::int32_t slot, SequencePages&& pages) {
  const std::int32_t limit = limitOf(command.request);
  auto& place = active_[static_cast<std::size_t>(slot)];
  place.reset(new Active{.id = command.id,
                         .request = std::move(command.request),
                         .slot = slot,
                         .pages = std::move(pages),
                         .limit = limit,
                         .submittedAt = command.submittedAt,
                         .undelivered = {},
                         .timings = {},
                         .beganAt = {},
                         .firstTokenAt = {},
                         .span = profile::NvtxSpan([&] { return "request " + std::to_string(command.id); })});
  if (place->request.sequence) sequences_.at(*place->request.sequence).inUse = true;
  prompts_.push_back(place.get());
}

// False where one has to wait for memory.
bool DecodeLoop::admitScore() {
  if (scoring_ || scores_.empty()) return true;
  const auto slot = freeSlot();
  if (!slot) return false;
  const auto& tokens = scores_.front().tokens;
  auto pages = cache_.reserve(std::nullopt, tokens, tokens.size());
  if (!pages) return false;
  scoring_.emplace(Score{std::move(scores_.front()), std::move(*pages), *slot, {}});
  scores_.pop_front();
  return true;
}

void DecodeLoop::scorePiece() {
  if (!scoring_) return;
  Score& score = *scoring_;
  const std::span<const std::int32_t> tokens = score.command.tokens;
  const auto vocabulary = static_cast<std::size_t>(limits_.vocabulary);
  const std::size_t held = score.pages.held();
  const auto piece = tokens.subspan(held, std::min(tokens.size() - held, static_cast<std::size_t>(limits_.scoreRows)));
  std::exception_ptr error;
  try {
    score.logits.resize(tokens.size() * vocabulary);
    error = outOfMemoryIn([&] {
      const profile::Step told(profile::Phase::score, name_, piece.size());
      if (held == 0) runner_.begin({score.slot, score.pages.pages(), tokens, 1, {}});
      runner_.score({score.slot, static_cast<std::int32_t>(held), piece, held + piece.size() == tokens.size()},
                    std::span(score.logits).subspan(held * vocabulary, piece.size() * vocabulary));
      score.pages.written(piece);
    });
  } catch (const std::bad_alloc&) {
    error = std::current_exception();
  } catch (const StepLostError& lost) {
    ++stats_.lostSteps;
    error = lost.cause();
  }
  if (!error && score.pages.held() < tokens.size()) return;
  Score ended = std::move(*scoring_);
  scoring_.reset();
  admissible_ = true;
  ended.command.scored(error ? std::vector<float>() : std::move(ended.logits), error);
}

bool DecodeLoop::queueStep() {
  auto slots = streams();
  const bool running = !slots.empty();
  switch (policy_.next(running, !prompts_.empty())) {
    case StepKind::none:
      return false;
    case StepKind::decode:
      queueDecode(std::move(slots));
      return true;
    case StepKind::prefill:
      queuePrefill(running);
      return true;
  }
  return false;
}

void DecodeLoop::queuePrefill(bool running) {
  std::vector<PendingPrompt> pending;
  for (Active* each : prompts_) {
    // Others that began alike may have been read since.
    if (!each->begun) {
      each->pages.refresh(each->request.tokens);
      each->read = static_cast<std::int32_t>(each->pages.held());
    }
    pending.push_back({each->read, each->promptTokens() - each->read});
  }
  const auto shares = policy_.shares(pending, running);
  std::vector<PromptRun> runs;
  std::vector<Active*> readers;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] == 0) continue;
    Active& active = *prompts_[i];
    if (!active.begun && !begin(active)) return;
    const auto tokens = std::span(active.request.tokens)
                            .subspan(static_cast<std::size_t>(active.read), static_cast<std::size_t>(shares[i]));
    runs.push_back({active.slot, active.read, tokens, shares[i] == pending[i].remaining});
    readers.push_back(&active);
  }
  Step step{0, StepKind::prefill, {}};
  const auto queue = [&] {
    const std::size_t rows =
        std::accumulate(runs.begin(), runs.end(), std::size_t{0},
                        [](std::size_t sum, const PromptRun& run) { return sum + run.tokens.size(); });
    profile::Step told(profile::Phase::prefill, name_, rows);
    for (std::size_t i = 0; i < runs.size(); ++i) told.serve(readers[i]->id, runs[i].tokens.size());
    step.number = runner_.prefill(runs);
  };
  try {
    auto error = outOfMemoryIn(queue);
    if (error && runs.size() > 1) {
      // Fewer rows may do.
      runs.resize(1);
      readers.resize(1);
      error = outOfMemoryIn(queue);
    }
    if (error) return fail(*readers.front(), error);
  } catch (const StepLostError& lost) {
    return lose(readers, lost.cause());
  }

  const auto now = Clock::now();
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Active& active = *readers[i];
    const auto tokens = static_cast<std::int32_t>(runs[i].tokens.size());
    if (active.timings.prefilledTokens == 0) {
      active.beganAt = now;
      active.timings.queue = milliseconds(now - active.submittedAt);
    }
    active.timings.prefilledTokens += tokens;
    active.read += tokens;
    active.pages.written(runs[i].tokens);
    if (!runs[i].last) continue;
    active.queued = 1;
    active.lastStep = step.number;
    step.rows.push_back({active.slot, active.id});
    std::erase(prompts_, &active);
  }
  ++stats_.prefillSteps;
  inFlight_.push_back(std::move(step));
}

bool DecodeLoop::begin(Active& active) {
  const auto error = outOfMemoryIn([&] {
    runner_.begin({active.slot, active.pages.pages(), active.request.tokens, active.limit, active.request.sampling});
    if (const auto copy = active.pages.copy()) runner_.copyPage(copy->first, copy->second);
  });
  if (error) {
    fail(active, error);
    return false;
  }
  active.pages.copied();
  active.begun = true;
  return true;
}

std::vector<std::int32_t> DecodeLoop::streams() const {
  std::vector<const Active*> ready;
  for (const auto& active : active_)
    if (active && active->queued > 0 && active->queued < active->limit &&
        active->queued - active->consumed < options_.window)
      ready.push_back(active.get());
  if (const auto most = static_cast<std::size_t>(limits_.decodeRows); ready.size() > most) {
    std::stable_sort(ready.begin(), ready.end(),
                     [](const Active* a, const Active* b) { return a->lastStep < b->lastStep; });
    ready.resize(most);
  }
  std::vector<std::int32_t> slots;
  for (const Active* each : ready) slots.push_back(each->slot);
  std::sort(slots.begin(), slots.end());
  return slots;
}

void DecodeLoop::queueDecode(std::vector<std::int32_t> slots) {
  Step step{0, StepKind::decode, {}};
  std::exception_ptr error;
  try {
    error = outOfMemoryIn([&] {
      profile::Step told(profile::Phase::decode, name_, slots.size());
      for (const std::int32_t slot : slots) told.serve(active_[static_cast<std::size_t>(slot)]->id, 1);
      step.number = runner_.decode(slots);
    });
  } catch (const StepLostError& lost) {
    std::vector<Active*> requests;
    for (const std::int32_t slot : slots) requests.push_back(active_[static_cast<std::size_t>(slot)].get());
    return lose(requests, lost.cause());
  }
  if (error) {
    // Fewer may do; the youngest has the least to lose.
    const auto youngest = std::max_element(slots.begin(), slots.end(), [this](std::int32_t a, std::int32_t b) {
      return active_[static_cast<std::size_t>(a)]->id < active_[static_cast<std::size_t>(b)]->id;
    });
    return fail(*active_[static_cast<std::size_t>(*youngest)], error);
  }
  for (const std::int32_t slot : slots) {
    Active& active = *active_[static_cast<std::size_t>(slot)];
    ++active.queued;
    active.lastStep = step.number;
    step.rows.push_back({slot, active.id});
  }
  ++stats_.decodeSteps;
  stats_.decodeRows += slots.size();
  inFlight_.push_back(std::move(step));
}

void DecodeLoop::lose(const std::vector<Active*>& requests, const std::exception_ptr& cause) {
  ++stats_.lostSteps;
  for (Active* each : requests) {
    each->pages.forget();
    fail(*each, cause);
  }
}

DecodeLoop::Active* DecodeLoop::find(RequestId id) const {
  for (const auto& active : active_)
    if (active && active->id == id) return active.get();
  return nullptr;
}

std::optional<std::int32_t> DecodeLoop::freeSlot() const {
  for (std::size_t i = 0; i < active_.size(); ++i) {
    const auto slot = static_cast<std::int32_t>(i);
    if (!active_[i] && !(scoring_ && scoring_->slot == slot)) return slot;
  }
  return std::nullopt;
}

void DecodeLoop::finish(Active& active, FinishReason reason) {
  leave(active, Finished{reason, active.timings});
}

void DecodeLoop::fail(Active& active, std::exception_ptr error) {
  leave(active, std::move(error));
}

void DecodeLoop::failWaiting(const std::exception_ptr& error) {
  while (!waiting_.empty()) drop(waiting_.begin(), error);
  for (const ScoreCommand& score : std::exchange(scores_, {})) score.scored({}, error);
}

void DecodeLoop::leave(Active& active, std::variant<Finished, std::exception_ptr> ending) {
  ended_.push_back({active.id, std::move(active.undelivered), std::move(ending)});
  std::erase(prompts_, &active);
  if (active.request.sequence)
    if (const auto sequence = sequences_.find(*active.request.sequence); sequence != sequences_.end())
      sequence->second.inUse = false;
  active_[static_cast<std::size_t>(active.slot)].reset();
  admissible_ = true;
}

DecodeLoop::Waiting::iterator DecodeLoop::drop(Waiting::iterator waiting,
                                               std::variant<Finished, std::exception_ptr> ending) {
  ended_.push_back({waiting->id, {}, std::move(ending)});
  ++left_;
  admissible_ = true;
  return waiting_.erase(waiting);
}

void DecodeLoop::end(const std::exception_ptr& error) noexcept {
  for (const Step& step : inFlight_) {
    try {
      runner_.wait(step.number);
    } catch (...) {
      // All end with an error anyway.
    }
  }
  inFlight_.clear();
  for (const auto& active : active_)
    if (active) fail(*active, error);
  if (scoring_) scores_.push_front(std::move(scoring_->command));
  scoring_.reset();
  failWaiting(error);
  for (const SuspendCommand& each : std::exchange(suspending_, {})) settleLater(each.settled, error);
  for (const ResumeCommand& each : std::exchange(resuming_, {})) settleLater(each.settled, error);
}

std::vector<Batch> DecodeLoop::takeBatches() {
  std::vector<Batch> batches = std::exchange(ended_, {});
  for (const auto& active : active_)
    if (active && !active->undelivered.empty())
      batches.push_back({active->id, std::exchange(active->undelivered, {}), std::nullopt});
  return batches;
}

SchedulerStats DecodeLoop::stats() const {
  SchedulerStats stats = stats_;
  stats.waiting = waiting_.size();
  stats.slots = active_.size();
  stats.slotsInUse = static_cast<std::size_t>(
      std::count_if(active_.begin(), active_.end(), [](const auto& each) { return each != nullptr; }));
  if (scoring_) ++stats.slotsInUse;
  stats.pages = cache_.pool().size();
  stats.pagesInUse = cache_.pool().held();
  stats.pagesKept = cache_.pool().kept();
  stats.suspended = suspended_;
  stats.usage = runner_.usage();
  return stats;
}

}  // namespace tensorrt_node::decode
