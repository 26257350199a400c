// Keeps an event loop turning, and asks in every turn whether something is done. A thread that wakes a sleeping loop
// costs 10 to 50 microseconds; this costs about one, and a core while it lasts. The loop serves everything else as
// ever.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>

namespace tensorrt_node::binding {

class LoopPoller {
 public:
  // `poll` is called on the loop's thread, once a turn after start(), until it returns false. It may call JavaScript.
  // Null where the runtime has no libuv to ask.
  static std::unique_ptr<LoopPoller> make(Napi::Env env, std::function<bool()> poll);

  // Before the environment's end or in a cleanup hook of it; the handle is closed behind.
  ~LoopPoller();
  LoopPoller(const LoopPoller&) = delete;
  LoopPoller& operator=(const LoopPoller&) = delete;

  // From the loop's next turn on; more calls do nothing. Meanwhile the process is kept alive.
  void start() noexcept;

 private:
  struct Handle;
  explicit LoopPoller(Handle* handle) noexcept;

  // Owned by the loop, which frees it when it is closed; null from then on.
  Handle* handle_;
};

}  // namespace tensorrt_node::binding
