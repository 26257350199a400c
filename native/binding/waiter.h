// A thread that waits for the events of one stream, in order, and settles a promise after each. Neither the event loop
// nor libuv's pool is held up; unlike a callback queued on the stream, it also learns that the stream failed.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <queue>
#include <thread>

#include "../cuda/event.h"
#include "instance.h"

namespace tensorrt_node::binding {

class Waiter final : public Stoppable {
 public:
  explicit Waiter(Instance& instance);
  ~Waiter() override;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Settles promise `number` of the instance once `event`, recorded already, has passed.
  void settleAfter(cuda::Event event, std::uint64_t number);

  // Whether every promise is settled, so that stop() has nothing to wait for.
  bool idle();

  // The thread ends once what is queued is settled; nothing may be queued any more. Does not wait for that.
  void finish();
  // finish(), and waits for the thread's end; the instance is not touched after that.
  void stop() override;

 private:
  struct Wait {
    cuda::Event event;
    std::uint64_t number;
  };
  void run();

  Instance& instance_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::queue<Wait> waits_;
  bool waiting_ = false;
  bool finishing_ = false;
  std::thread thread_;
};

}  // namespace tensorrt_node::binding
