// The last steps: whether they are done, and what they chose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "../../cuda/event.h"
#include "../../cuda/pinned_pool.h"
#include "../../cuda/stream.h"
#include "../../tensorrt/engine.h"
#include "../step_runner.h"

namespace tensorrt_node::decode {

// For one thread, and one stream.
class StepRing {
 public:
  // `records`: the most that a step has.
  StepRing(const tensorrt::DeviceMemory& memory, std::size_t steps, std::size_t records);

  // Queues the way of a step's records, first in `from`, to the host. The step before by so many as the ring has must
  // be done.
  StepNumber finish(const cuda::Stream& stream, cuda::DeviceBlock& from, std::size_t records);

  bool done(StepNumber step) const;
  void wait(StepNumber step) const;
  // Of a step that is done.
  std::span<const kernels::TokenRecord> records(StepNumber step) const;
  std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct Entry {
    cuda::PinnedBlock records;
    cuda::Event done;
    std::size_t count = 0;
  };

  Entry& entry(StepNumber step) noexcept { return entries_[step % entries_.size()]; }
  const Entry& entry(StepNumber step) const noexcept { return entries_[step % entries_.size()]; }

  std::vector<Entry> entries_;
  StepNumber last_ = 0;
};

}  // namespace tensorrt_node::decode
