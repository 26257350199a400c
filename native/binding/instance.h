// What one JavaScript environment (the main thread or a worker) has of the addon.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "gpu.h"
#include "pinned_buffers.h"

namespace tensorrt_node::binding {

class Completions;
class Waiter;

// Has a thread that uses an Instance.
class Stoppable {
 public:
  virtual ~Stoppable() = default;
  // Ends the thread and waits for that, without JavaScript. More calls do nothing.
  virtual void stop() = 0;
};

class Instance {
 public:
  // Makes a promise's value, on the JavaScript thread; what it throws rejects the promise.
  using MakeValue = std::function<Napi::Value(Napi::Env)>;

  explicit Instance(Napi::Env env);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  static Instance& of(Napi::Env env) { return *env.GetInstanceData<Instance>(); }

  // The GPU, kept until the environment ends.
  std::shared_ptr<Gpu> gpu(int ordinal);

  PinnedBuffers& pinned() noexcept { return *pinned_; }

  // A promise, and the number that settles it from any thread. `owner` is kept from collection until then.
  struct Pending {
    std::uint64_t number;
    Napi::Promise promise;
  };
  Pending promise(Napi::Object owner);
  // Rejects with `error`; without one resolves with undefined.
  void settle(std::uint64_t number, std::exception_ptr error);
  void settle(std::uint64_t number, MakeValue value);
  // Calls `function` on the JavaScript thread, in the order of calls from this thread, settle() included; from any
  // thread. Dropped when the environment is closing. It holds nothing of JavaScript's but by way of `owner`.
  void post(std::function<void(Napi::Env)> function);
  // The `owner` of a promise that is not settled yet; JavaScript thread only.
  Napi::Object owner(std::uint64_t number) const;

  // Made with the first call.
  Completions& completions(Napi::Env env);

  // The event loop, idle otherwise, goes on until letGo() was called as often.
  void keepAlive(Napi::Env env) {
    if (keptAlive_++ == 0) deliveries_.Ref(env);
  }
  void letGo(Napi::Env env) {
    if (--keptAlive_ == 0) deliveries_.Unref(env);
  }

  // The constructor of a class that has `kName` and define(), made once.
  template <typename Object>
  Napi::Function classOf(Napi::Env env) {
    Napi::FunctionReference& known = classes_[Object::kName];
    if (known.IsEmpty()) known = Napi::Persistent(Object::define(env));
    return known.Value();
  }

  // Stopped before the environment ends, if it is still there; also by stopAllAtExit(). Only until then its threads may
  // call the above.
  void stopAtEnd(const std::shared_ptr<Stoppable>& stoppable);
  // process.exit() ends no environment. From now on it stops the threads of all, before libraries that are loaded by
  // now take themselves apart.
  static void stopAllAtExit();
  // A thread that calls settle().
  std::shared_ptr<Waiter> makeWaiter();
  // Runs `work` on a thread of its own; what it returns makes the promise's value. `cancel` is to make `work` return
  // early when the environment ends, which waits for it.
  Napi::Promise run(Napi::Object owner, std::function<MakeValue()> work, std::function<void()> cancel = {});
  // The same for a promise that is there already, so that `work` can know its number.
  void run(std::uint64_t number, std::function<MakeValue()> work, std::function<void()> cancel = {});

 private:
  class Task;
  struct Unsettled {
    Napi::Promise::Deferred deferred;
    Napi::ObjectReference owner;
    std::shared_ptr<Task> task;
  };
  using Delivery = std::function<void(Napi::Env)>;
  void end();
  void settleNow(Napi::Env env, std::uint64_t number, const std::exception_ptr& error, const MakeValue& value);
  static void deliver(Napi::Env env, Napi::Function, Instance* instance, Delivery* delivery);
  using Deliveries = Napi::TypedThreadSafeFunction<Instance, Delivery, deliver>;

  std::map<int, std::shared_ptr<Gpu>> gpus_;
  std::map<std::string_view, Napi::FunctionReference> classes_;
  std::shared_ptr<Completions> completions_;
  std::size_t keptAlive_ = 0;
  std::shared_ptr<PinnedBuffers> pinned_;
  std::vector<std::weak_ptr<Stoppable>> stoppables_;
  Deliveries deliveries_;
  std::map<std::uint64_t, Unsettled> unsettled_;
  std::uint64_t nextNumber_ = 0;
};

}  // namespace tensorrt_node::binding
