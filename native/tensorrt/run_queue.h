// Runs of an engine, wherever their threads get to them: a queue, and several execution contexts that take from it,
// each with a thread and a stream, so that copies of one run go on beside the computing of another.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "../cuda/pinned_pool.h"
#include "engine.h"
#include "tensor_info.h"

namespace tensorrt_node::tensorrt {

// Elements in pinned memory that lives, and stays as it is, until the run is over.
struct RunInput {
  Shape dims;
  std::shared_ptr<const cuda::PinnedBlock> block;
  // Bytes.
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

struct RunOutput {
  Shape dims;
  cuda::PinnedBlock block;
};

class Run {
 public:
  using Finished = std::function<void(std::vector<RunOutput> outputs, std::exception_ptr error)>;

  // `finished` is called once, on some thread: with the outputs in the engine's order, or with the error. Not for a
  // run that was cancelled.
  Run(std::vector<RunInput> inputs, Finished finished) : inputs_(std::move(inputs)), finished_(std::move(finished)) {}

 private:
  friend class RunQueue;
  std::vector<RunInput> inputs_;
  Finished finished_;
  // With the queue's lock.
  bool cancelled_ = false;
};

class RunQueue {
 public:
  // Makes all contexts, which is slow. Throws TensorrtError and CudaError.
  RunQueue(std::shared_ptr<const Engine> engine, std::size_t contexts);
  // Ends as stop() does.
  ~RunQueue();
  RunQueue(const RunQueue&) = delete;
  RunQueue& operator=(const RunQueue&) = delete;

  // After close() the run ends at once with the error given there.
  void submit(const std::shared_ptr<Run>& run);
  // A run that waits never begins; one under way keeps its memory until it is over. Nobody hears of either.
  void cancel(const std::shared_ptr<Run>& run);

  // Runs that wait end with `error`, as do later ones. Does not wait for those under way.
  void close(std::exception_ptr error);
  // close(), waits for the runs under way and for whileIdle(), and frees contexts and memory. More calls do nothing.
  void stop(std::exception_ptr error);

  // The memory that contexts without a run hold for their last shapes goes back to the pool.
  void forgetIdle();

  // Calls `work` while no run is under way; runs that come meanwhile wait. What it throws is thrown.
  void whileIdle(const std::function<void()>& work);

 private:
  struct Worker;
  void serve(Worker& worker);
  std::vector<RunOutput> perform(Worker& worker, Run& run);
  std::vector<RunOutput> attempt(Worker& worker, Run& run);

  const std::shared_ptr<const Engine> engine_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Run>> waiting_;
  std::size_t underWay_ = 0;
  bool paused_ = false;
  // Set by close().
  std::exception_ptr closed_;
};

}  // namespace tensorrt_node::tensorrt
