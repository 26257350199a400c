#include "completions.h"

#include <sys/prctl.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace tensorrt_node::binding {

Completions::Completions(Napi::Env env, Instance& instance)
    : env_(env), instance_(instance), poller_(LoopPoller::make(env, [this] { return turn(); })) {
  asyncContext_.emplace(env, "tensorrt-node run");
}

Completions::~Completions() {
  close();
}

void Completions::watch(std::shared_ptr<Completion> completion) {
  completion->start_ = Clock::now();
  const auto step = completion->policy_.next(std::chrono::nanoseconds(0));
  if ((!step.spin || poller_ == nullptr) && keepWatch(completion, step)) return;
  polled_.push_back(std::move(completion));
  poller_->start();
}

void Completions::listen(Clock::time_point until) {
  ++listeners_;
  listenUntil_ = std::max(listenUntil_, until);
  if (poller_ != nullptr) poller_->start();
}

void Completions::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Completions::close() {
  stop();
  poller_.reset();
  asyncContext_.reset();
  polled_.clear();
  over_.clear();
  watched_.clear();
  ready_.clear();
}

// One turn of the event loop; whether there is more to ask for.
bool Completions::turn() noexcept {
  try {
    const auto now = Clock::now();
    std::erase_if(polled_, [&](std::shared_ptr<Completion>& each) {
      if (each->over()) {
        over_.push_back(std::move(each));
        return true;
      }
      const auto step = each->policy_.next(now - each->start_);
      return !step.spin && keepWatch(each, step);
    });
    if (!over_.empty()) {
      const Napi::HandleScope handles(env_);
      // Closing it runs what waits for the promises.
      const Napi::CallbackScope callback(env_, *asyncContext_);
      settleAll(over_);
    }
  } catch (...) {
    // The environment is closing: nobody waits for these any more.
    over_.clear();
  }
  return !polled_.empty() || (listeners_ > 0 && Clock::now() < listenUntil_);
}

void Completions::settleAll(std::vector<std::shared_ptr<Completion>>& over) {
  const auto now = Clock::now();
  for (const std::shared_ptr<Completion>& each : over) {
    each->policy_.finished(now - each->start_);
    each->settle(env_);
  }
  over.clear();
}

// Leaves it to the thread. False where the system has no thread for it: then the loop has to go on asking.
bool Completions::keepWatch(const std::shared_ptr<Completion>& completion, cuda::CompletionPolicy::Step step) {
  const std::lock_guard lock(mutex_);
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { guard(); });
  } catch (const std::system_error&) {
    if (poller_ == nullptr) throw;
    return false;
  }
  watched_.push_back({completion, step});
  instance_.keepAlive(env_);
  changed_.notify_all();
  return true;
}

// What the thread found, on the JavaScript thread.
void Completions::deliver() {
  std::vector<Watched> ready;
  {
    const std::lock_guard lock(mutex_);
    ready.swap(ready_);
    posted_ = false;
  }
  for (Watched& each : ready) {
    instance_.letGo(env_);
    (each.over ? over_ : polled_).push_back(std::move(each.completion));
  }
  settleAll(over_);
  if (!polled_.empty()) poller_->start();
}

void Completions::guard() {
  // Sleeps are to end in time; the kernel's own idea of that is 50 microseconds.
  ::prctl(PR_SET_TIMERSLACK, 1000UL);
  ::prctl(PR_SET_NAME, "trt-completions");
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (watched_.empty()) {
      changed_.wait(lock);
      continue;
    }
    Clock::time_point wake = Clock::time_point::max();
    const bool spin = guardOnce(wake);
    if (!ready_.empty() && !std::exchange(posted_, true)) instance_.post([this](Napi::Env) { deliver(); });
    if (spin) {
      lock.unlock();
      std::this_thread::yield();
      lock.lock();
    } else if (!watched_.empty()) {
      changed_.wait_until(lock, wake);
    }
  }
}

// Asks after all whose time has come, with the lock held. Whether some are to be asked again at once; else when.
bool Completions::guardOnce(Clock::time_point& wake) {
  bool spin = false;
  const auto now = Clock::now();
  std::erase_if(watched_, [&](Watched& each) {
    Completion& completion = *each.completion;
    if (each.step.spin || now >= completion.start_ + each.step.sleepUntil) {
      each.over = completion.over();
      each.step = completion.policy_.next(now - completion.start_);
      if (each.over || (each.step.spin && poller_ != nullptr)) {
        ready_.push_back(std::move(each));
        return true;
      }
    }
    if (each.step.spin) {
      spin = true;
    } else {
      wake = std::min(wake, completion.start_ + each.step.sleepUntil);
    }
    return false;
  });
  return spin;
}

}  // namespace tensorrt_node::binding
