#include "counted_requests.h"

#include <variant>

namespace tensorrt_node::binding {

namespace {

Napi::Object describe(Napi::Env env, std::int64_t tokens, double seconds) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("tokens", Napi::Number::New(env, static_cast<double>(tokens)));
  object.Set("seconds", Napi::Number::New(env, seconds));
  return object;
}

}  // namespace

void CountedRequests::add(decode::RequestId id, decode::Scheduler& scheduler, std::uint64_t promise) {
  const std::lock_guard lock(mutex_);
  counts_.insert_or_assign(id, Count{.scheduler = &scheduler, .promise = promise});
}

void CountedRequests::remove(decode::RequestId id) {
  const std::lock_guard lock(mutex_);
  counts_.erase(id);
}

void CountedRequests::take(std::vector<decode::Batch>& batches) {
  const std::lock_guard lock(mutex_);
  if (counts_.empty()) return;
  const Clock::time_point now = Clock::now();
  std::erase_if(batches, [&](decode::Batch& batch) { return count(batch, now); });
}

bool CountedRequests::count(decode::Batch& batch, Clock::time_point now) {
  const auto found = counts_.find(batch.request);
  if (found == counts_.end()) return false;
  Count& count = found->second;
  if (!batch.tokens.empty()) {
    if (count.tokens == 0) count.first = now;
    count.last = now;
    count.tokens += static_cast<std::int64_t>(batch.tokens.size());
    // Its thread is this one, so it is there.
    count.scheduler->consumed(batch.request, static_cast<std::int32_t>(batch.tokens.size()));
  }
  if (!batch.ending) return true;
  if (const auto* error = std::get_if<std::exception_ptr>(&*batch.ending)) {
    instance_.settle(count.promise, *error);
  } else {
    const double seconds = std::chrono::duration<double>(count.last - count.first).count();
    instance_.settle(count.promise,
                     [tokens = count.tokens, seconds](Napi::Env env) { return describe(env, tokens, seconds); });
  }
  counts_.erase(found);
  return true;
}

}  // namespace tensorrt_node::binding
