// Graphs and what was instantiated from them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "capture.h"
#include "clock.h"
#include "queue.h"

namespace simulator {

struct GraphState {
  std::uint64_t number;
  int device;
  std::shared_ptr<const GraphNodes> nodes;
  // Whether launches were traced when it was captured.
  bool traced = false;
  bool leakReported = false;
};

struct GraphExecState {
  std::uint64_t number;
  int device;
  std::shared_ptr<const GraphNodes> nodes;
  // Of lanes but the first, which is the stream's own.
  std::vector<Timeline> timelines;
  // Of the last launch, which the next is ordered after; null before the first.
  std::shared_ptr<const Completion> last;
  // Whether launches were traced when it was made.
  bool traced = false;
  bool leakReported = false;
};

}  // namespace simulator
