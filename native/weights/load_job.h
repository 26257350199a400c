// What threads that load weights together share: progress, and the first failure, which ends all of them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <utility>

namespace tensorrt_node::weights {

// Bytes loaded and bytes to load. From any of the loading threads, one at a time.
using OnStored = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Thrown by what was asked to stop.
struct Stopped {};

class LoadJob {
 public:
  LoadJob(std::uint64_t total, const OnStored& onStored, std::stop_token stop)
      : total_(total), onStored_(onStored), stop_(std::move(stop)) {}

  // Throws Stopped when that was asked for, or another thread failed.
  void add(std::size_t bytes) {
    if (failed() || stop_.stop_requested()) throw Stopped{};
    const std::lock_guard lock(mutex_);
    done_ += bytes;
    if (onStored_) onStored_(done_, total_);
  }
  void fail(std::exception_ptr error) noexcept {
    const std::lock_guard lock(mutex_);
    if (error_ == nullptr) error_ = std::move(error);
    failed_.store(true, std::memory_order_relaxed);
  }
  bool failed() const noexcept { return failed_.load(std::memory_order_relaxed); }
  // With all threads at their end.
  void rethrow() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

 private:
  const std::uint64_t total_;
  const OnStored& onStored_;
  const std::stop_token stop_;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::uint64_t done_ = 0;
  std::exception_ptr error_;
};

}  // namespace tensorrt_node::weights
