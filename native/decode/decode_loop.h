// The scheduler without its thread: requests come, what the GPU has done is settled, what it does next is queued, and
// what happened is taken away.
//
// A few steps are under way at any time, and the host learns a step's tokens only when it is done. So a slot that ended
// may be in steps that are queued already: they do nothing for it. A request that leaves frees its slot and pages at
// once, whatever is under way: all work is done in the order in which it is queued, so the next request's comes after.
// Records say in which step and row they were made, and those for a request that left are dropped. Nothing is drained.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "clock.h"
#include "commands.h"
#include "page_cache.h"
#include "request.h"
#include "step_histograms.h"
#include "step_policy.h"
#include "step_runner.h"

namespace tensorrt_node::decode {

struct SchedulerOptions {
  // What profiles call it.
  std::string model = "model";
  // Tokens a sequence may hold, prompt and reply together.
  std::int32_t maxContext;
  // Requests that may wait to begin.
  std::size_t maxWaiting = 1024;
  // Steps queued at once, as far as the runner goes.
  std::size_t stepsInFlight = 2;
  // Tokens of a request that may be delivered or under way, and not consumed: a slot whose consumer is further behind
  // pauses.
  std::int32_t window = 256;
  // What a request's cache holds serves all later ones; else only those of its own sequence and of forks of it.
  bool sharePrefixes = true;
  // Else each request runs its whole prompt, whatever is held of it: keys and values that a step of streams made are
  // not, to the last bit, those that a step of prompts makes.
  bool reusePrefixes = true;
  PolicyOptions policy;
};

struct SchedulerStats {
  std::size_t waiting = 0;
  std::size_t slots = 0;
  std::size_t slotsInUse = 0;
  std::size_t pages = 0;
  // Held by requests.
  std::size_t pagesInUse = 0;
  // Of no request, but good for what they hold.
  std::size_t pagesKept = 0;
  std::uint64_t prefillSteps = 0;
  std::uint64_t decodeSteps = 0;
  // Rows of decode steps, and of those the ones that chose nothing because their slot had ended.
  std::uint64_t decodeRows = 0;
  std::uint64_t wastedRows = 0;
  // Steps that ended with their requests, as their weights could not be brought.
  std::uint64_t lostSteps = 0;
  bool suspended = false;
  RunnerUsage usage;
  StepHistograms histograms;
};

// For one thread. What the runner throws goes through, but for out of memory, which ends the request that wanted it,
// and for weights that do not come, which ends the requests of that step.
class DecodeLoop {
 public:
  // Throws std::invalid_argument where the runner cannot hold a sequence of maxContext tokens.
  DecodeLoop(StepRunner& runner, const SchedulerOptions& options);
  ~DecodeLoop();

  void apply(Command command);
  // Takes up what the steps did that are done.
  void settle();
  // Begins requests and queues steps, as far as that goes; prompts may take the host some milliseconds. False when
  // there is nothing to do until something is applied.
  bool advance();
  // Blocks until the oldest step under way is done, if any is.
  void await();
  // Waits for what is under way, and ends everything with the error.
  void end(const std::exception_ptr& error) noexcept;

  // What happened since the last call.
  std::vector<Batch> takeBatches();
  // What is to be told of suspensions since the last call, once stats() is known to all.
  std::vector<std::function<void()>> takeSettled() { return std::exchange(settled_, {}); }
  // Requests that wait no longer since the last call.
  std::size_t takeLeft() noexcept { return std::exchange(left_, 0); }
  SchedulerStats stats() const;

 private:
  struct Active;
  struct Row {
    std::int32_t slot;
    RequestId request;
  };
  struct Step {
    StepNumber number;
    StepKind kind;
    std::vector<Row> rows;
    Clock::time_point queuedAt = Clock::now();
  };
  struct Sequence {
    std::optional<PrefixNode> root;
    bool inUse = false;
  };
  struct Score {
    ScoreCommand command;
    SequencePages pages;
    std::int32_t slot;
    std::vector<float> logits;
  };
  using Waiting = std::deque<SubmitCommand>;

  void accept(SubmitCommand&& command);
  void accept(AbortCommand&& command);
  void accept(ConsumedCommand&& command);
  void accept(CreateSequenceCommand&& command);
  void accept(ForkSequenceCommand&& command);
  void accept(DisposeSequenceCommand&& command);
  void accept(ScoreCommand&& command);
  void accept(SuspendCommand&& command);
  void accept(ResumeCommand&& command);
  void accept(LayersCommand&& command);

  StepLayers layersOf(const LayersCommand& command);
  void settleLater(Settled settled, std::exception_ptr error);
  bool idle() const noexcept;
  void suspendNow();
  // False where it stays suspended: nobody wants it, or there is no memory, which ends all that wait for it.
  bool wake();

  void settleFront();
  void count(const Step& step);
  void receive(Active& active, const kernels::TokenRecord& record);

  void admit();
  bool admitScore();
  // None where there are too few pages now.
  std::optional<SequencePages> reserve(const Request& request);
  std::int32_t limitOf(const Request& request) const;
  void activate(SubmitCommand&& command, std::int32_t slot, SequencePages&& pages);
  void scorePiece();

  // False when nothing can be queued now.
  bool queueStep();
  void queuePrefill(bool streams);
  // False where there is no memory for it, and it has failed.
  bool begin(Active& active);
  void queueDecode(std::vector<std::int32_t> slots);
  // The requests' step is lost.
  void lose(const std::vector<Active*>& requests, const std::exception_ptr& cause);
  std::vector<std::int32_t> streams() const;

  Active* find(RequestId id) const;
  std::optional<std::int32_t> freeSlot() const;
  void finish(Active& active, FinishReason reason);
  void fail(Active& active, std::exception_ptr error);
  // Requests and scores that have not begun.
  void failWaiting(const std::exception_ptr& error);
  void leave(Active& active, std::variant<Finished, std::exception_ptr> ending);
  Waiting::iterator drop(Waiting::iterator waiting, std::variant<Finished, std::exception_ptr> ending);

  StepRunner& runner_;
  const SchedulerOptions options_;
  // What profiles call the model.
  const std::shared_ptr<const std::string> name_;
  const RunnerLimits limits_;
  const std::size_t stepsInFlight_;
  StepPolicy policy_;
  PageCache cache_;
  const PrefixNode sharedRoot_;
  std::unordered_map<SequenceId, Sequence> sequences_;
  Waiting waiting_;
  // By slot.
  std::vector<std::unique_ptr<Active>> active_;
  // Those whose prompt is not all queued, the oldest first.
  std::vector<Active*> prompts_;
  std::deque<Step> inFlight_;
  std::deque<ScoreCommand> scores_;
  std::optional<Score> scoring_;
  // Wanted, and not done yet.
  std::vector<SuspendCommand> suspending_;
  std::vector<ResumeCommand> resuming_;
  std::vector<std::function<void()>> settled_;
  bool suspended_ = false;
  // Something changed that may let a waiting request begin.
  bool admissible_ = false;
  std::vector<Batch> ended_;
  std::size_t left_ = 0;
  SchedulerStats stats_;
  // When the last step's end was seen, and what steps had waited for weights until then, in seconds.
  Clock::time_point lastEnd_;
  double waited_ = 0;
};

}  // namespace tensorrt_node::decode
