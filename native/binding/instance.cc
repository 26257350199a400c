// The life of one environment: promises settled from other threads, and an end that leaves no thread behind.
#include "instance.h"

#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include "completions.h"
#include "errors.h"
#include "waiter.h"

namespace tensorrt_node::binding {

namespace {

// What stopAllAtExit() stops, of all environments. Never destroyed, as exit handlers use it.
struct AllStoppables {
  std::mutex mutex;
  std::vector<std::weak_ptr<Stoppable>> list;

  static AllStoppables& instance() {
    alignas(AllStoppables) static std::byte storage[sizeof(AllStoppables)];
    static auto* const all = ::new (static_cast<void*>(storage)) AllStoppables;
    return *all;
  }

  void add(const std::shared_ptr<Stoppable>& stoppable) {
    const std::lock_guard lock(mutex);
    std::erase_if(list, [](const std::weak_ptr<Stoppable>& each) { return each.expired(); });
    list.push_back(stoppable);
  }

  void stop() {
    std::vector<std::weak_ptr<Stoppable>> stopped;
    {
      const std::lock_guard lock(mutex);
      stopped.swap(list);
    }
    for (const std::weak_ptr<Stoppable>& each : stopped)
      if (const std::shared_ptr<Stoppable> stoppable = each.lock()) stoppable->stop();
  }
};

}  // namespace

// The thread of one call of run(). Owned by the entry of its promise, so that settling it joins the thread.
class Instance::Task final : public Stoppable {
 public:
  Task(std::function<void()> body, std::function<void()> cancel)
      : cancel_(std::move(cancel)), thread_(std::move(body)) {}
  ~Task() override { join(); }

  void stop() override {
    if (cancel_) cancel_();
    join();
  }

 private:
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  std::function<void()> cancel_;
  std::thread thread_;
};

Instance::Instance(Napi::Env env)
    : pinned_(std::make_shared<PinnedBuffers>()),
      deliveries_(Deliveries::New(env, "tensorrt-node completions", 0, 1, this)) {
  // Pending promises keep the event loop alive, an idle addon does not.
  deliveries_.Unref(env);
  // Hooks run last in, first out: this one before that of `deliveries_`, which the threads call.
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
  unsettled_.emplace(number, Unsettled{deferred, Napi::Persistent(owner), nullptr});
  keepAlive(env);
  return {number, deferred.Promise()};
}

Completions& Instance::completions(Napi::Env env) {
  if (completions_ == nullptr) {
    completions_ = std::make_shared<Completions>(env, *this);
    stopAtEnd(completions_);
  }
  return *completions_;
}

void Instance::stopAtEnd(const std::shared_ptr<Stoppable>& stoppable) {
  std::erase_if(stoppables_, [](const std::weak_ptr<Stoppable>& each) { return each.expired(); });
  stoppables_.push_back(stoppable);
  AllStoppables::instance().add(stoppable);
}

void Instance::stopAllAtExit() {
  // Handlers run last in, first out. Without room for one more there is nothing better to do than to go on.
  static_cast<void>(std::atexit([] { AllStoppables::instance().stop(); }));
}

std::shared_ptr<Waiter> Instance::makeWaiter() {
  auto waiter = std::make_shared<Waiter>(*this);
  stopAtEnd(waiter);
  return waiter;
}

Napi::Promise Instance::run(Napi::Object owner, std::function<MakeValue()> work, std::function<void()> cancel) {
  const Pending pending = promise(owner);
  run(pending.number, std::move(work), std::move(cancel));
  return pending.promise;
}

void Instance::run(std::uint64_t number, std::function<MakeValue()> work, std::function<void()> cancel) {
  const auto body = [this, number, work = std::move(work)] {
    try {
      settle(number, work());
    } catch (...) {
      settle(number, std::current_exception());
    }
  };
  try {
    const auto task = std::make_shared<Task>(body, std::move(cancel));
    // Cannot be settled yet: that happens on this thread.
    unsettled_.at(number).task = task;
    stopAtEnd(task);
  } catch (...) {
    settle(number, std::current_exception());
  }
}

void Instance::end() {
  for (const std::weak_ptr<Stoppable>& each : stoppables_) {
    if (const std::shared_ptr<Stoppable> stoppable = each.lock()) stoppable->stop();
  }
  unsettled_.clear();
  if (completions_ != nullptr) completions_->close();
  classes_.clear();
  // The threads were its only callers. Newer versions of Node free it only when it has none left.
  deliveries_.Release();
}

Napi::Object Instance::owner(std::uint64_t number) const {
  return unsettled_.at(number).owner.Value();
}

void Instance::post(std::function<void(Napi::Env)> function) {
  auto delivery = std::make_unique<Delivery>(std::move(function));
  // Refused only when the environment is closing, when nobody waits for anything any more.
  if (deliveries_.NonBlockingCall(delivery.get()) == napi_ok) delivery.release();
}

void Instance::settle(std::uint64_t number, std::exception_ptr error) {
  post([this, number, error = std::move(error)](Napi::Env env) { settleNow(env, number, error, {}); });
}

void Instance::settle(std::uint64_t number, MakeValue value) {
  post([this, number, value = std::move(value)](Napi::Env env) { settleNow(env, number, nullptr, value); });
}

void Instance::settleNow(Napi::Env env, std::uint64_t number, const std::exception_ptr& error, const MakeValue& value) {
  const auto entry = unsettled_.find(number);
  if (entry == unsettled_.end()) return;
  Napi::Promise::Deferred deferred = entry->second.deferred;
  try {
    // What makes the value may ask for the owner.
    if (error)
      deferred.Reject(toJavaScript(env, error).Value());
    else
      deferred.Resolve(value ? value(env) : env.Undefined());
  } catch (const Napi::Error& thrown) {
    deferred.Reject(thrown.Value());
  } catch (...) {
    deferred.Reject(toJavaScript(env, std::current_exception()).Value());
  }
  unsettled_.erase(number);
  letGo(env);
}

void Instance::deliver(Napi::Env env, Napi::Function, Instance*, Delivery* delivered) {
  const std::unique_ptr<Delivery> delivery(delivered);
  if (env != nullptr) (*delivery)(env);
}

}  // namespace tensorrt_node::binding
