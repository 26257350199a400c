// Where tokens go.
#pragma once

#include <vector>

#include "request.h"

namespace tensorrt_node::decode {

class Sink {
 public:
  virtual ~Sink() = default;
  // What happened since the last call, at most one batch a request. Called by the scheduler's thread, with no lock
  // held, and it waits: pass things on and return. May call the scheduler, but not stop() it.
  virtual void deliver(std::vector<Batch> batches) noexcept = 0;
};

}  // namespace tensorrt_node::decode
