// The thread behind promises of GPU work.
#include "waiter.h"

#include <exception>
#include <utility>

#include "instance.h"

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

void Waiter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Waiter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !waits_.empty(); });
    if (waits_.empty()) return;
    Wait wait = std::move(waits_.front());
    waits_.pop();
    lock.unlock();
    std::exception_ptr error;
    try {
      wait.event.wait();
    } catch (...) {
      error = std::current_exception();
    }
    instance_.settle(wait.number, error);
    lock.lock();
  }
}

}  // namespace tensorrt_node::binding
