#include "capture.h"

#include <algorithm>
#include <set>
#include <utility>

namespace simulator {

Capture::Capture(const Queue& origin, CUstreamCaptureMode mode)
    : origin_(&origin), mode_(mode), thread_(std::this_thread::get_id()) {}

bool Capture::forbids(std::thread::id thread) const noexcept {
  if (mode_ == CU_STREAM_CAPTURE_MODE_GLOBAL) return true;
  return mode_ == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && thread == thread_;
}

bool Capture::mayEndOn(std::thread::id thread) const noexcept {
  return mode_ == CU_STREAM_CAPTURE_MODE_RELAXED || thread == thread_;
}

void Capture::add(Queue& queue, Work work) {
  nodes.push_back({std::move(work), queue.captured, laneOf(queue)});
  queue.captured = {nodes.size() - 1};
}

void Capture::join(Queue& queue, const std::vector<std::size_t>& after) {
  laneOf(queue);
  for (const std::size_t node : after)
    if (std::find(queue.captured.begin(), queue.captured.end(), node) == queue.captured.end())
      queue.captured.push_back(node);
}

bool Capture::isJoined() const {
  const auto origin = queues_.empty() ? nullptr : queues_[0].lock();
  if (origin == nullptr) return nodes.empty();
  std::set<std::size_t> before(origin->captured.begin(), origin->captured.end());
  for (std::size_t i = nodes.size(); i-- > 0;)
    if (before.contains(i)) before.insert(nodes[i].after.begin(), nodes[i].after.end());
  return before.size() == nodes.size();
}

void Capture::end() {
  ended_ = true;
  // The last of them may hold this alive.
  const auto self = shared_from_this();
  for (const auto& each : queues_) {
    const auto queue = each.lock();
    if (queue == nullptr) continue;
    queue->capture = nullptr;
    queue->captured.clear();
  }
}

std::size_t Capture::laneOf(Queue& queue) {
  for (std::size_t i = 0; i < queues_.size(); ++i)
    if (queues_[i].lock().get() == &queue) return i;
  queues_.push_back(queue.weak_from_this());
  return queues_.size() - 1;
}

}  // namespace simulator
