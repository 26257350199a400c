// What one JavaScript environment (the main thread or a worker) has of the addon.
#pragma once

#include <napi.h>

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <vector>

#include "gpu.h"
#include "pinned_buffers.h"

namespace tensorrt_node::binding {

class Waiter;

class Instance {
 public:
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
  void settle(std::uint64_t number, std::exception_ptr error);

  // A thread that calls settle(), and ends before the environment does.
  std::shared_ptr<Waiter> makeWaiter();

 private:
  struct Unsettled {
    Napi::Promise::Deferred deferred;
    Napi::ObjectReference owner;
  };
  struct Settlement {
    std::uint64_t number;
    std::exception_ptr error;
  };
  void end();
  static void deliver(Napi::Env env, Napi::Function, Instance* instance, Settlement* settlement);
  using Deliveries = Napi::TypedThreadSafeFunction<Instance, Settlement, deliver>;

  std::map<int, std::shared_ptr<Gpu>> gpus_;
  std::shared_ptr<PinnedBuffers> pinned_;
  std::vector<std::weak_ptr<Waiter>> waiters_;
  Deliveries deliveries_;
  std::map<std::uint64_t, Unsettled> unsettled_;
  std::uint64_t nextNumber_ = 0;
};

}  // namespace tensorrt_node::binding
