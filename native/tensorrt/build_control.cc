#include "build_control.h"

#include <utility>

#include "error.h"

namespace tensorrt_node::tensorrt {

void BuildControl::cancel() noexcept {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  changed_.notify_all();
}

void BuildControl::provideBatch(std::optional<Batch> batch) {
  const std::lock_guard lock(mutex_);
  batches_.push(std::move(batch));
  changed_.notify_all();
}

void BuildControl::fail(std::exception_ptr error) noexcept {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = std::move(error);
  changed_.notify_all();
}

bool BuildControl::stopped() const noexcept {
  const std::lock_guard lock(mutex_);
  return cancelled_ || failure_;
}

void BuildControl::throwIfStopped() const {
  const std::lock_guard lock(mutex_);
  if (cancelled_) throw AbortedError();
  if (failure_) std::rethrow_exception(failure_);
}

std::optional<Batch> BuildControl::nextBatch() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return cancelled_ || failure_ || !batches_.empty(); });
  if (cancelled_ || failure_) return std::nullopt;
  std::optional<Batch> batch = std::move(batches_.front());
  batches_.pop();
  return batch;
}

}  // namespace tensorrt_node::tensorrt
