// Work split among threads that live as long as the call.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <stdexcept>

namespace tensorrt_node::quantize {

// The caller asked for an end. Nobody reads what was made.
class StoppedError : public std::runtime_error {
 public:
  StoppedError() : std::runtime_error("the operation was stopped") {}
};

struct Threads {
  unsigned count = 1;
  // Not zero once the work is to end; null where nothing can ask for that.
  const std::atomic<std::int32_t>* stop = nullptr;

  bool stopped() const noexcept { return stop != nullptr && stop->load(std::memory_order_relaxed) != 0; }
};

// Calls `work` with each of [0, items), each thread taking the next. Throws what a call threw first, once all threads
// have ended, and StoppedError where the stop kept items from being done.
void parallelFor(const Threads& threads, std::int64_t items, const std::function<void(std::int64_t)>& work);

}  // namespace tensorrt_node::quantize
