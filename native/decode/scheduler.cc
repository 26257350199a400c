#include "scheduler.h"

#include <stdexcept>
#include <string>
#include <utility>

namespace tensorrt_node::decode {

Scheduler::Scheduler(std::unique_ptr<StepRunner> runner, const SchedulerOptions& options, std::shared_ptr<Sink> sink)
    : runner_(std::move(runner)),
      options_(options),
      sink_(std::move(sink)),
      commands_(options.maxWaiting),
      loop_(*runner_, options),
      stats_(loop_.stats()),
      thread_([this] { serve(); }) {}

Scheduler::~Scheduler() {
  stop(std::make_exception_ptr(DisposedError("the model was disposed")));
}

void Scheduler::submit(RequestId id, Request request) {
  checkTokens(request.tokens);
  if (request.maxNewTokens < 1) throw std::invalid_argument("a request must choose at least one token");
  commands_.submit({id, std::move(request), Clock::now()});
}

void Scheduler::abort(RequestId id) {
  commands_.post(AbortCommand{id});
}

void Scheduler::consumed(RequestId id, std::int32_t tokens) {
  commands_.post(ConsumedCommand{id, tokens});
}

void Scheduler::createSequence(SequenceId id) {
  commands_.post(CreateSequenceCommand{id});
}

void Scheduler::forkSequence(SequenceId id, SequenceId copy) {
  commands_.post(ForkSequenceCommand{id, copy});
}

void Scheduler::disposeSequence(SequenceId id) {
  commands_.post(DisposeSequenceCommand{id});
}

void Scheduler::score(std::vector<std::int32_t> tokens, Scored scored) {
  checkTokens(tokens);
  commands_.ask(ScoreCommand{std::move(tokens), std::move(scored)});
}

void Scheduler::suspend(const SuspendOptions& options, Settled settled) {
  commands_.ask(SuspendCommand{options, std::move(settled)});
}

void Scheduler::resume(Settled settled) {
  commands_.ask(ResumeCommand{std::move(settled)});
}

void Scheduler::layers(const StepLayersRequest& request, std::stop_token stop, LayersTold told) {
  // The scheduler may end in the middle: that is why, then.
  const auto stopped = [this, stop = std::move(stop)] {
    return stop.stop_requested() || commands_.closed() != nullptr;
  };
  const auto ended = [this, told = std::move(told)](StepLayers layers, std::exception_ptr error) {
    const std::exception_ptr closed = commands_.closed();
    told(std::move(layers), error && closed ? closed : error);
  };
  commands_.ask(LayersCommand{request, stopped, ended});
}

void Scheduler::checkTokens(const std::vector<std::int32_t>& tokens) const {
  if (tokens.empty() || tokens.size() > static_cast<std::size_t>(options_.maxContext))
    throw std::invalid_argument("a sequence must have from 1 to " + std::to_string(options_.maxContext) +
                                " tokens, got " + std::to_string(tokens.size()));
}

SchedulerStats Scheduler::stats() const {
  const std::lock_guard lock(statsMutex_);
  return stats_;
}

void Scheduler::close(std::exception_ptr error) {
  // Without an error nothing would be closed.
  if (error == nullptr) error = std::make_exception_ptr(DisposedError("the model was disposed of"));
  commands_.close(std::move(error));
}

void Scheduler::stop(std::exception_ptr error) {
  close(std::move(error));
  const std::lock_guard lock(stopping_);
  if (thread_.joinable()) thread_.join();
  runner_.reset();
}

void Scheduler::serve() {
  try {
    for (bool busy = false; !commands_.closed();) {
      for (Command& command : commands_.take(!busy)) loop_.apply(std::move(command));
      // Tokens do not wait for the next steps to be queued; another is under way meanwhile.
      loop_.settle();
      publish();
      busy = loop_.advance();
      publish();
      loop_.await();
    }
  } catch (...) {
    commands_.close(std::current_exception());
  }
  const std::exception_ptr error = commands_.closed();
  loop_.end(error);
  publish();
  refuse(commands_.take(false), error);
}

void Scheduler::publish() {
  std::vector<Batch> batches = loop_.takeBatches();
  // Before anybody hears of an ending, who may then submit the next request.
  commands_.left(loop_.takeLeft());
  {
    const std::lock_guard lock(statsMutex_);
    stats_ = loop_.stats();
  }
  if (!batches.empty()) sink_->deliver(std::move(batches));
  for (const auto& settled : loop_.takeSettled()) settled();
}

// What came while everything ended.
void Scheduler::refuse(std::vector<Command> commands, const std::exception_ptr& error) {
  std::vector<Batch> batches;
  for (Command& command : commands) {
    if (const auto* submitted = std::get_if<SubmitCommand>(&command)) batches.push_back({submitted->id, {}, error});
    if (const auto* score = std::get_if<ScoreCommand>(&command)) score->scored({}, error);
    if (const auto* suspend = std::get_if<SuspendCommand>(&command)) suspend->settled(error);
    if (const auto* resume = std::get_if<ResumeCommand>(&command)) resume->settled(error);
    if (const auto* layers = std::get_if<LayersCommand>(&command)) layers->told({}, error);
  }
  if (!batches.empty()) sink_->deliver(std::move(batches));
}

}  // namespace tensorrt_node::decode
