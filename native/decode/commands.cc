#include "commands.h"

#include <string>
#include <utility>

namespace tensorrt_node::decode {

void CommandQueue::submit(SubmitCommand command) {
  const std::lock_guard lock(mutex_);
  if (closed_) std::rethrow_exception(closed_);
  if (waiting_ >= mostWaiting_)
    throw QueueFullError(std::to_string(waiting_) + " requests wait already, and no more may");
  ++waiting_;
  commands_.emplace_back(std::move(command));
  changed_.notify_one();
}

void CommandQueue::post(Command command) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  commands_.push_back(std::move(command));
  changed_.notify_one();
}

void CommandQueue::ask(Command command) {
  const std::lock_guard lock(mutex_);
  if (closed_) std::rethrow_exception(closed_);
  commands_.push_back(std::move(command));
  changed_.notify_one();
}

void CommandQueue::left(std::size_t requests) {
  const std::lock_guard lock(mutex_);
  waiting_ -= requests;
}

void CommandQueue::close(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  if (!closed_) closed_ = std::move(error);
  changed_.notify_one();
}

std::exception_ptr CommandQueue::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

std::vector<Command> CommandQueue::take(bool wait) {
  std::unique_lock lock(mutex_);
  if (wait) changed_.wait(lock, [this] { return !commands_.empty() || closed_; });
  return std::exchange(commands_, {});
}

}  // namespace tensorrt_node::decode
