// What other threads ask of a scheduler, and the queue that brings it there.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "clock.h"
#include "request.h"
#include "step_layers.h"

namespace tensorrt_node::decode {

struct SubmitCommand {
  RequestId id;
  Request request;
  Clock::time_point submittedAt;
};

struct AbortCommand {
  RequestId id;
};

struct ConsumedCommand {
  RequestId id;
  std::int32_t tokens;
};

struct CreateSequenceCommand {
  SequenceId id;
};

struct ForkSequenceCommand {
  SequenceId id;
  SequenceId copy;
};

struct DisposeSequenceCommand {
  SequenceId id;
};

// The logits after each token, [tokens, vocabulary]; or the error.
using Scored = std::function<void(std::vector<float> logits, std::exception_ptr error)>;

struct ScoreCommand {
  std::vector<std::int32_t> tokens;
  // Must not throw.
  Scored scored;
};

// Called once, by the scheduler's thread; without an error it went well. Must not throw.
using Settled = std::function<void(std::exception_ptr error)>;

struct SuspendOptions {
  // Requests that have begun end as usual, and those that wait begin when the model is back; else all of them end with
  // SuspendedError.
  bool finishRunning = true;
  // Weights are kept in pinned RAM; else they are read from their files again.
  bool keepRam = true;
};

struct SuspendCommand {
  SuspendOptions options;
  Settled settled;
};

struct ResumeCommand {
  Settled settled;
};

// The times, or the error.
using LayersTold = std::function<void(StepLayers layers, std::exception_ptr error)>;

struct LayersCommand {
  StepLayersRequest request;
  // Asked between two steps, and ends them with AbortedError.
  std::function<bool()> stopped;
  // Must not throw.
  LayersTold told;
};

using Command = std::variant<SubmitCommand, AbortCommand, ConsumedCommand, CreateSequenceCommand, ForkSequenceCommand,
                             DisposeSequenceCommand, ScoreCommand, SuspendCommand, ResumeCommand, LayersCommand>;

// Safe from any thread.
class CommandQueue {
 public:
  // At most so many requests are submitted and not yet begun.
  explicit CommandQueue(std::size_t mostWaiting) : mostWaiting_(mostWaiting) {}

  // Throws QueueFullError, or what it was closed with.
  void submit(SubmitCommand command);
  // Dropped when closed.
  void post(Command command);
  // As submit(), but not bounded.
  void ask(Command command);

  // So many requests wait no longer.
  void left(std::size_t requests);

  // Nothing is taken any more; take() gives what is there, and then the error. More calls do nothing.
  void close(std::exception_ptr error);
  // What it was closed with; null while it is open.
  std::exception_ptr closed() const;

  // Everything that came; if `wait`, not before there is something or the queue is closed.
  std::vector<Command> take(bool wait);

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Command> commands_;
  const std::size_t mostWaiting_;
  std::size_t waiting_ = 0;
  std::exception_ptr closed_;
};

}  // namespace tensorrt_node::decode
