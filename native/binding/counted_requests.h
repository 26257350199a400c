// Requests whose tokens JavaScript never sees: they are only counted, to tell what seeing them costs.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "../decode/scheduler.h"
#include "instance.h"

namespace tensorrt_node::binding {

class CountedRequests {
 public:
  explicit CountedRequests(Instance& instance) : instance_(instance) {}

  // Before `id` is submitted to `scheduler`. `promise` is settled with {tokens, seconds}, from the first token to the
  // last, as the scheduler's thread delivers them.
  void add(decode::RequestId id, decode::Scheduler& scheduler, std::uint64_t promise);
  // The request was not taken.
  void remove(decode::RequestId id);
  // Counts and removes what is theirs. The scheduler's thread.
  void take(std::vector<decode::Batch>& batches);

 private:
  using Clock = std::chrono::steady_clock;
  struct Count {
    decode::Scheduler* scheduler;
    std::uint64_t promise;
    std::int64_t tokens = 0;
    Clock::time_point first{};
    Clock::time_point last{};
  };
  bool count(decode::Batch& batch, Clock::time_point now);

  Instance& instance_;
  std::mutex mutex_;
  std::map<decode::RequestId, Count> counts_;
};

}  // namespace tensorrt_node::binding
