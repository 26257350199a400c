// The thread behind promises of GPU work.
#include "waiter.h"

#include <exception>
#include <utility>

namespace tensorrt_node::binding {

Waiter::Waiter(Instance& instance) : instance_(instance), thread_([this] { run(); }) {}

Waiter::~Waiter() {
  stop();
}

void Waiter::settleAfter(cuda::Event event, std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  waits_.push({std::move(event), number});
  changed_.notify_one();
}

bool Waiter::idle() {
  const std::lock_guard lock(mutex_);
  return waits_.empty() && !waiting_;
}

void Waiter::finish() {
  const std::lock_guard lock(mutex_);
  finishing_ = true;
  changed_.notify_one();
}

void Waiter::stop() {
  finish();
  if (thread_.joinable()) thread_.join();
}

void Waiter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return finishing_ || !waits_.empty(); });
    if (waits_.empty()) return;
    Wait wait = std::move(waits_.front());
    waits_.pop();
    waiting_ = true;
    lock.unlock();
    std::exception_ptr error;
    try {
      wait.event.wait();
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    // Before JavaScript can hear of it, which then finds the waiter idle.
    waiting_ = false;
    instance_.settle(wait.number, error);
  }
}

}  // namespace tensorrt_node::binding
