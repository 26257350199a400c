// Tells JavaScript that GPU work is done, as soon as may be. While work should be about to end the event loop asks for
// it in every turn; while it cannot have ended, and when it is late, a thread keeps watch.
#pragma once

#include <napi.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "../cuda/completion_policy.h"
#include "instance.h"
#include "loop_poller.h"

namespace tensorrt_node::binding {

// Work that is under way, again and again.
class Completion {
 public:
  virtual ~Completion() = default;
  // Whether the work is over, if only because it failed. From one thread at a time.
  virtual bool over() noexcept = 0;
  // It is over. On the JavaScript thread, within a scope that runs what waits for promises when it closes.
  virtual void settle(Napi::Env env) = 0;

 private:
  friend class Completions;
  cuda::CompletionPolicy policy_;
  std::chrono::steady_clock::time_point start_;
};

// Of one environment; for the JavaScript thread.
class Completions final : public Stoppable {
 public:
  Completions(Napi::Env env, Instance& instance);
  ~Completions() override;
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  // The work has just been queued; settle() follows once, unless the environment ends first. Kept until then.
  void watch(std::shared_ptr<Completion> completion);

  // Something that another thread will post is expected until then: the loop goes on turning, to hear of it at once.
  void listen(std::chrono::steady_clock::time_point until);
  // As often as listen(), when it was heard.
  void heard() noexcept { --listeners_; }

  void stop() override;
  // stop(), and lets go of what is under way, which may wait for it. Before the environment's end.
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  struct Watched {
    std::shared_ptr<Completion> completion;
    cuda::CompletionPolicy::Step step;
    bool over = false;
  };

  bool turn() noexcept;
  void deliver();
  void settleAll(std::vector<std::shared_ptr<Completion>>& over);
  bool keepWatch(const std::shared_ptr<Completion>& completion, cuda::CompletionPolicy::Step step);
  void guard();
  bool guardOnce(Clock::time_point& wake);

  const Napi::Env env_;
  Instance& instance_;
  std::optional<Napi::AsyncContext> asyncContext_;
  // Null where the runtime has no loop to ask in: the thread does all then.
  std::unique_ptr<LoopPoller> poller_;
  // Asked after in every turn of the loop.
  std::vector<std::shared_ptr<Completion>> polled_;
  std::vector<std::shared_ptr<Completion>> over_;
  std::size_t listeners_ = 0;
  Clock::time_point listenUntil_ = Clock::time_point::min();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Watched> watched_;
  // On their way from the thread to JavaScript.
  std::vector<Watched> ready_;
  bool posted_ = false;
  bool stopping_ = false;
  // Made with the first work that needs it.
  std::thread thread_;
};

}  // namespace tensorrt_node::binding
