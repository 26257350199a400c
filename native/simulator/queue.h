// A simulated stream: operations that a thread of its own does one after the other.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "activity.h"
#include "clock.h"

namespace simulator {

class Capture;

// The end of an operation, which others may wait for.
struct Completion {
  // All that is done when this is.
  Clock clock;
  bool done = false;
  Time at;
};

struct Operation {
  // Not begun before this is done; null for none.
  std::shared_ptr<const Completion> after;
  std::chrono::nanoseconds duration{0};
  // Called without the lock; null for none.
  std::function<void()> run;
  std::shared_ptr<Completion> completion;
  // Called without the lock, with when it began and ended; null for none.
  std::function<void(Time start, Time end)> report = nullptr;
};

// All functions need the world's lock, which the thread takes as well.
class Queue : public std::enable_shared_from_this<Queue> {
 public:
  // `number` is what messages call it; `progress` is told of each operation done.
  Queue(std::uint64_t number, int device, Timeline timeline, std::mutex& mutex, std::condition_variable& progress);

  // Must be called once, after construction.
  void start();
  void push(Operation operation);
  // Ends the thread when all is done.
  void close();

  bool idle() const noexcept { return last == nullptr || last->done; }
  bool finished() const noexcept { return finished_; }

  const std::uint64_t number;
  const int device;
  const Timeline timeline;
  // What work queued next is ordered after.
  Clock clock;
  // The end of the work queued last; null for none.
  std::shared_ptr<const Completion> last;
  // What work goes into instead of running; null for none.
  std::shared_ptr<Capture> capture;
  // Nodes of the capture that the next one is ordered after.
  std::vector<std::size_t> captured;
  bool leakReported = false;

 private:
  void work();

  std::mutex& mutex_;
  std::condition_variable& progress_;
  std::condition_variable wakeUp_;
  std::deque<Operation> operations_;
  bool closing_ = false;
  bool finished_ = false;
};

}  // namespace simulator
