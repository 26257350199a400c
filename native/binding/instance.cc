// The life of one environment: promises settled from other threads, and an end that leaves no thread behind.
#include "instance.h"

#include <utility>

#include "errors.h"
#include "waiter.h"

namespace tensorrt_node::binding {

Instance::Instance(Napi::Env env)
    : pinned_(std::make_shared<PinnedBuffers>()),
      deliveries_(Deliveries::New(env, "tensorrt-node completions", 0, 1, this)) {
  // Pending promises keep the event loop alive, an idle addon does not.
  deliveries_.Unref(env);
  // Hooks run last in, first out: this one before that of `deliveries_`, which the waiters call.
  env.AddCleanupHook([](Instance* instance) { instance->end(); }, this);
}

Instance::~Instance() = default;

std::shared_ptr<Gpu> Instance::gpu(int ordinal) {
  std::shared_ptr<Gpu>& gpu = gpus_[ordinal];
  if (gpu == nullptr) gpu = Gpu::open(ordinal);
  return gpu;
}

Instance::Pending Instance::promise(Napi::Object owner) {
  const Napi::Env env = owner.Env();
  const std::uint64_t number = nextNumber_++;
  const auto deferred = Napi::Promise::Deferred::New(env);
  unsettled_.emplace(number, Unsettled{deferred, Napi::Persistent(owner)});
  if (unsettled_.size() == 1) deliveries_.Ref(env);
  return {number, deferred.Promise()};
}

std::shared_ptr<Waiter> Instance::makeWaiter() {
  std::erase_if(waiters_, [](const std::weak_ptr<Waiter>& each) { return each.expired(); });
  auto waiter = std::make_shared<Waiter>(*this);
  waiters_.push_back(waiter);
  return waiter;
}

void Instance::end() {
  for (const std::weak_ptr<Waiter>& each : waiters_) {
    if (const std::shared_ptr<Waiter> waiter = each.lock()) waiter->stop();
  }
  unsettled_.clear();
  // The waiters were its only callers. Newer versions of Node free it only when it has none left.
  deliveries_.Release();
}

void Instance::settle(std::uint64_t number, std::exception_ptr error) {
  auto settlement = std::make_unique<Settlement>(Settlement{number, std::move(error)});
  // Refused only when the environment is closing, when nobody waits for the promise any more.
  if (deliveries_.NonBlockingCall(settlement.get()) == napi_ok) settlement.release();
}

void Instance::deliver(Napi::Env env, Napi::Function, Instance* instance, Settlement* delivered) {
  const std::unique_ptr<Settlement> settlement(delivered);
  if (env == nullptr) return;
  const auto entry = instance->unsettled_.find(settlement->number);
  if (entry == instance->unsettled_.end()) return;
  const Napi::Promise::Deferred deferred = entry->second.deferred;
  instance->unsettled_.erase(entry);
  if (instance->unsettled_.empty()) instance->deliveries_.Unref(env);
  if (settlement->error) {
    deferred.Reject(toJavaScript(env, settlement->error).Value());
  } else {
    deferred.Resolve(env.Undefined());
  }
}

}  // namespace tensorrt_node::binding
