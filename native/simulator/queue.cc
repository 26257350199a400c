#include "queue.h"

#include <thread>
#include <utility>

namespace simulator {

Queue::Queue(std::uint64_t queueNumber, int onDevice, Timeline ownTimeline, std::mutex& mutex,
             std::condition_variable& progress)
    : number(queueNumber), device(onDevice), timeline(ownTimeline), mutex_(mutex), progress_(progress) {}

void Queue::start() {
  // Detached: streams that a program never destroys must not hold up its exit.
  std::thread([self = shared_from_this()] { self->work(); }).detach();
}

void Queue::push(Operation operation) {
  last = operation.completion;
  operations_.push_back(std::move(operation));
  wakeUp_.notify_one();
}

void Queue::close() {
  closing_ = true;
  wakeUp_.notify_one();
}

void Queue::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wakeUp_.wait(lock, [&] { return closing_ || !operations_.empty(); });
    if (operations_.empty()) break;
    Operation operation = std::move(operations_.front());
    operations_.pop_front();
    if (operation.after != nullptr) progress_.wait(lock, [&] { return operation.after->done; });
    if (operation.duration.count() > 0 || operation.run || operation.report) {
      lock.unlock();
      const Time start = std::chrono::steady_clock::now();
      if (operation.duration.count() > 0) std::this_thread::sleep_for(operation.duration);
      if (operation.run) operation.run();
      if (operation.report) operation.report(start, std::chrono::steady_clock::now());
      lock.lock();
    }
    operation.completion->done = true;
    operation.completion->at = std::chrono::steady_clock::now();
    progress_.notify_all();
  }
  finished_ = true;
  progress_.notify_all();
}

}  // namespace simulator
