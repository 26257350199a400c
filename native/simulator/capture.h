// Stream capture: work that goes into a graph instead of running.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "queue.h"
#include "work.h"

namespace simulator {

struct GraphNode {
  Work work;
  // Earlier nodes that it is ordered after.
  std::vector<std::size_t> after;
  // The stream it was captured from, counted from the one where the capture began. Nodes of one are in order.
  std::size_t lane;
};

// Nodes are listed in an order in which they can run.
using GraphNodes = std::vector<GraphNode>;

class Capture : public std::enable_shared_from_this<Capture> {
 public:
  Capture(const Queue& origin, CUstreamCaptureMode mode);

  bool invalidated() const noexcept { return invalidated_; }
  void invalidate() noexcept { invalidated_ = true; }
  bool ended() const noexcept { return ended_; }
  // Whether this thread must now keep from calls that might wait for or interfere with the capture.
  bool forbids(std::thread::id thread) const noexcept;
  bool mayEndOn(std::thread::id thread) const noexcept;
  bool beganOn(const Queue& queue) const noexcept { return origin_ == &queue; }

  void add(Queue& queue, Work work);
  // What is captured from `queue` next comes after these nodes, too; the queue joins the capture with that.
  void join(Queue& queue, const std::vector<std::size_t>& nodes);
  // Whether all of it comes before the end of the stream where it began.
  bool isJoined() const;
  // Lets go of all its streams.
  void end();

  GraphNodes nodes;

 private:
  std::size_t laneOf(Queue& queue);

  const Queue* const origin_;
  const CUstreamCaptureMode mode_;
  const std::thread::id thread_;
  bool invalidated_ = false;
  bool ended_ = false;
  // By lane.
  std::vector<std::weak_ptr<Queue>> queues_;
};

}  // namespace simulator
