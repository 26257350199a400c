#include "run_queue.h"

#include <algorithm>
#include <string>
#include <utility>

#include "../cuda/completion_policy.h"
#include "../cuda/error.h"
#include "../cuda/event.h"
#include "error.h"
#include "execution.h"

namespace tensorrt_node::tensorrt {
namespace {

using Clock = std::chrono::steady_clock;

// Blocks until the event has passed, as the policy says. Throws what the work before it failed with.
void await(const cuda::Event& event, cuda::CompletionPolicy& policy, Clock::time_point start) {
  for (bool late = false; !event.passed();) {
    const auto elapsed = Clock::now() - start;
    const auto step = policy.next(elapsed);
    if (step.spin) {
      late = elapsed >= policy.expected();
      std::this_thread::yield();
    } else if (late) {
      // The driver wakes this thread, in some tens of microseconds.
      event.wait();
    } else {
      std::this_thread::sleep_until(start + step.sleepUntil);
      late = Clock::now() - start >= policy.expected() + std::chrono::milliseconds(2);
    }
  }
  policy.finished(Clock::now() - start);
}

}  // namespace

// One context. Used by its thread alone once that runs, but while it is idle.
struct RunQueue::Worker {
  Worker(std::shared_ptr<const Engine> engine, const std::string& name)
      : execution(std::make_unique<Execution>(std::move(engine), name)), end(execution->stream().context()) {}

  std::unique_ptr<Execution> execution;
  cuda::Event end;
  cuda::CompletionPolicy policy;
  std::vector<InputView> views;
  // With the queue's lock.
  bool busy = false;
  std::thread thread;
};

RunQueue::RunQueue(std::shared_ptr<const Engine> engine, std::size_t contexts) : engine_(std::move(engine)) {
  const std::string name = engine_->info().name.empty() ? "engine" : engine_->info().name;
  for (std::size_t i = 0; i < contexts; ++i)
    workers_.push_back(std::make_unique<Worker>(engine_, name + ", context " + std::to_string(i)));
  try {
    for (const auto& worker : workers_) worker->thread = std::thread([this, &each = *worker] { serve(each); });
  } catch (...) {
    stop(std::current_exception());
    throw;
  }
}

RunQueue::~RunQueue() {
  stop(std::make_exception_ptr(AbortedError()));
}

void RunQueue::submit(const std::shared_ptr<Run>& run) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      waiting_.push_back(run);
      changed_.notify_one();
      return;
    }
  }
  run->inputs_.clear();
  run->finished_({}, closed_);
}

void RunQueue::cancel(const std::shared_ptr<Run>& run) {
  // Freed without the lock, and now: the caller may keep the run.
  std::vector<RunInput> inputs;
  const std::lock_guard lock(mutex_);
  run->cancelled_ = true;
  if (const auto found = std::find(waiting_.begin(), waiting_.end(), run); found != waiting_.end()) {
    waiting_.erase(found);
    inputs.swap(run->inputs_);
  }
}

void RunQueue::close(std::exception_ptr error) {
  std::deque<std::shared_ptr<Run>> dropped;
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) closed_ = error;
    dropped.swap(waiting_);
    changed_.notify_all();
  }
  for (const auto& run : dropped) {
    run->inputs_.clear();
    run->finished_({}, closed_);
  }
}

void RunQueue::stop(std::exception_ptr error) {
  close(std::move(error));
  for (const auto& worker : workers_)
    if (worker->thread.joinable()) worker->thread.join();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !paused_; });
  lock.unlock();
  workers_.clear();
}

void RunQueue::whileIdle(const std::function<void()>& work) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !paused_; });
  paused_ = true;
  changed_.wait(lock, [this] { return underWay_ == 0; });
  lock.unlock();
  const auto resume = [this] {
    const std::lock_guard held(mutex_);
    paused_ = false;
    changed_.notify_all();
  };
  try {
    work();
  } catch (...) {
    resume();
    throw;
  }
  resume();
}

void RunQueue::serve(Worker& worker) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closed_ || (!waiting_.empty() && !paused_); });
    if (closed_) return;
    std::shared_ptr<Run> run = std::move(waiting_.front());
    waiting_.pop_front();
    ++underWay_;
    worker.busy = true;
    lock.unlock();

    std::vector<RunOutput> outputs;
    std::exception_ptr error;
    try {
      outputs = perform(worker, *run);
    } catch (...) {
      error = std::current_exception();
    }
    // Before anybody hears of the run's end, who may then look for the memory.
    run->inputs_.clear();
    lock.lock();
    worker.busy = false;
    if (--underWay_ == 0 && paused_) changed_.notify_all();
    const bool heard = !run->cancelled_;
    lock.unlock();
    if (heard) run->finished_(std::move(outputs), error);
    run.reset();
    lock.lock();
  }
}

void RunQueue::forgetIdle() {
  // Without it none of them begins a run.
  const std::lock_guard lock(mutex_);
  for (const auto& worker : workers_)
    if (!worker->busy) worker->execution->forget();
}

std::vector<RunOutput> RunQueue::perform(Worker& worker, Run& run) {
  try {
    return attempt(worker, run);
  } catch (const cuda::CudaError& error) {
    if (error.result() != CUDA_ERROR_OUT_OF_MEMORY) throw;
  }
  // What contexts hold for shapes that nobody runs now, and what lies idle, may be enough together.
  worker.execution->forget();
  forgetIdle();
  engine_->memory().device->trim();
  engine_->memory().pinned->trim();
  try {
    return attempt(worker, run);
  } catch (const cuda::CudaError&) {
    worker.execution->forget();
    throw;
  }
}

std::vector<RunOutput> RunQueue::attempt(Worker& worker, Run& run) {
  Execution& execution = *worker.execution;
  worker.views.clear();
  for (const RunInput& input : run.inputs_)
    worker.views.push_back(
        {input.dims, std::span<const std::byte>(input.block->bytes()).subspan(input.offset, input.bytes)});
  std::vector<RunOutput> outputs(engine_->outputs().size());
  try {
    const auto start = Clock::now();
    execution.prepare(worker.views);
    execution.copyInputs(worker.views);
    execution.enqueue();
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      outputs[i].dims = execution.outputDims(i);
      outputs[i].block = engine_->memory().pinned->allocate(execution.outputBytes(i));
      execution.copyOutput(i, outputs[i].block.bytes());
    }
    execution.stream().record(worker.end);
    await(worker.end, worker.policy, start);
    for (std::size_t i = 0; i < outputs.size(); ++i) execution.readHostOutput(i, outputs[i].block.bytes());
  } catch (...) {
    // Nothing may touch the memory of this run any more when it is freed. What the stream itself failed with says more
    // than a call that was refused for it.
    execution.stream().synchronize();
    throw;
  }
  return outputs;
}

}  // namespace tensorrt_node::tensorrt
