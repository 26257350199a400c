// A sink that keeps what it gets, by request, for tests to wait for.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "check.h"
#include "decode/sink.h"

namespace test {

struct Reply {
  std::vector<std::int32_t> tokens;
  std::vector<tensorrt_node::decode::Token> details;
  std::optional<std::variant<tensorrt_node::decode::Finished, std::exception_ptr>> ending;

  // "stop", "length", "aborted", or what it failed with.
  std::string end() const {
    if (!ending) return "under way";
    if (const auto* finished = std::get_if<tensorrt_node::decode::Finished>(&*ending)) {
      constexpr const char* names[] = {"stop", "length", "aborted"};
      return names[static_cast<int>(finished->reason)];
    }
    try {
      std::rethrow_exception(std::get<std::exception_ptr>(*ending));
    } catch (const std::exception& error) {
      return error.what();
    }
  }

  // Of one that did not fail.
  tensorrt_node::decode::Timings timings() const {
    return std::get<tensorrt_node::decode::Finished>(ending.value()).timings;
  }

  // The error that it must have failed with.
  template <typename Error>
  Error error() const {
    if (!ending || !std::holds_alternative<std::exception_ptr>(*ending))
      throw check::Failure("the request did not fail: " + end());
    return CHECK_THROWS(std::rethrow_exception(std::get<std::exception_ptr>(*ending)), Error);
  }
};

class Replies final : public tensorrt_node::decode::Sink {
 public:
  using Id = tensorrt_node::decode::RequestId;

  // Called with each batch, after it is kept, without a lock.
  std::function<void(const tensorrt_node::decode::Batch&)> heard = [](const auto&) {};

  void deliver(std::vector<tensorrt_node::decode::Batch> batches) noexcept override {
    {
      const std::lock_guard lock(mutex_);
      for (const auto& batch : batches) {
        Reply& reply = replies_[batch.request];
        if (reply.ending) broken_ = "something came after an ending";
        if (batch.tokens.empty() && !batch.ending) broken_ = "an empty batch came";
        for (const auto& token : batch.tokens) {
          reply.tokens.push_back(token.token);
          reply.details.push_back(token);
        }
        reply.ending = batch.ending;
      }
    }
    changed_.notify_all();
    for (const auto& batch : batches) heard(batch);
  }

  // As it is now.
  Reply now(Id id) {
    const std::lock_guard lock(mutex_);
    return replies_[id];
  }

  // When it has ended.
  Reply ended(Id id) {
    return until(id, [](const Reply& reply) { return reply.ending.has_value(); });
  }

  // When it has so many tokens, or has ended.
  Reply tokens(Id id, std::size_t count) {
    return until(id, [&](const Reply& reply) { return reply.ending || reply.tokens.size() >= count; });
  }

  // What the scheduler did that it must not; empty where nothing.
  std::string broken() {
    const std::lock_guard lock(mutex_);
    return broken_;
  }

 private:
  template <typename Condition>
  Reply until(Id id, Condition condition) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return condition(replies_[id]); });
    return replies_[id];
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Id, Reply> replies_;
  std::string broken_;
};

}  // namespace test
