// Decodes for many requests at once, on a thread of its own.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "commands.h"
#include "decode_loop.h"
#include "request.h"
#include "sink.h"
#include "step_runner.h"

namespace tensorrt_node::decode {

// Safe from any thread. Ids are the caller's, and never used twice.
class Scheduler {
 public:
  // Throws std::invalid_argument where the runner cannot hold a sequence of maxContext tokens.
  Scheduler(std::unique_ptr<StepRunner> runner, const SchedulerOptions& options, std::shared_ptr<Sink> sink);
  // stop(), with DisposedError.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Throws QueueFullError; std::invalid_argument for no tokens, more than maxContext, or none to choose; what the
  // scheduler ended with if it did.
  void submit(RequestId id, Request request);
  // Ends the request, whose slot is in no step that is queued from then on. Unknown and ended ones are ignored.
  void abort(RequestId id);
  // So many tokens more, of those delivered, are the consumer's no longer: its request may go on.
  void consumed(RequestId id, std::int32_t tokens);

  // A request on a sequence waits for the one before it.
  void createSequence(SequenceId id);
  // Finds what `id` holds now; a request that uses that goes on undisturbed.
  void forkSequence(SequenceId id, SequenceId copy);
  // A request that uses it is aborted, those that wait for it fail with DisposedError.
  void disposeSequence(SequenceId id);

  // `scored` is called once, by the scheduler's thread: with the logits after each token, [tokens, vocabulary], or the
  // error. It must not throw, nor stop() the scheduler. Streams go on beside it, with a piece of it between steps.
  void score(std::vector<std::int32_t> tokens, Scored scored);

  // Gives the device's memory up once nothing runs, and calls `settled`, as score() does: with SuspendedError where
  // resume() came before, CudaError where the driver or the machine cannot. Whatever is asked for later brings it back.
  void suspend(const SuspendOptions& options, Settled settled);
  // With CudaError, files::FileError where it could not, and is suspended still.
  void resume(Settled settled);

  // Times the layers of such steps, which holds up what comes meanwhile. Calls `told` as score() does: with
  // QueueFullError while anything runs or waits, SuspendedError, tensorrt::UnsupportedError for more rows or tokens
  // than steps and sequences have, tensorrt::AbortedError where `stop` asked for it, and errors of steps.
  void layers(const StepLayersRequest& request, std::stop_token stop, LayersTold told);

  SchedulerStats stats() const;

  // Everything ends with `error`, or DisposedError without one, as do later requests. Does not wait.
  void close(std::exception_ptr error);
  // close(), and waits until all has ended and been delivered; then the runner is destroyed, and the sink is called no
  // more. More calls do nothing. Not from the sink.
  void stop(std::exception_ptr error);

 private:
  void checkTokens(const std::vector<std::int32_t>& tokens) const;
  void serve();
  void publish();
  void refuse(std::vector<Command> commands, const std::exception_ptr& error);

  std::unique_ptr<StepRunner> runner_;
  const SchedulerOptions options_;
  const std::shared_ptr<Sink> sink_;
  CommandQueue commands_;
  DecodeLoop loop_;
  mutable std::mutex statsMutex_;
  SchedulerStats stats_;
  std::mutex stopping_;
  std::thread thread_;
};

}  // namespace tensorrt_node::decode
