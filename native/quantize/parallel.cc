// Threads for one call, and what they threw.
#include "parallel.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace tensorrt_node::quantize {

void parallelFor(const Threads& threads, std::int64_t items, const std::function<void(std::int64_t)>& work) {
  std::atomic<std::int64_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&] {
    try {
      for (;;) {
        const std::int64_t item = next.fetch_add(1, std::memory_order_relaxed);
        if (item >= items) return;
        if (threads.stopped()) throw StoppedError();
        work(item);
      }
    } catch (...) {
      next.store(items, std::memory_order_relaxed);
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    const auto wanted = std::min<std::int64_t>(threads.count, items);
    try {
      while (static_cast<std::int64_t>(others.size()) + 1 < wanted) others.emplace_back(run);
    } catch (const std::system_error&) {
      // Fewer threads do the same work.
    }
    run();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace tensorrt_node::quantize
