#include "step_ring.h"

#include "../../cuda/copy.h"
#include "../../cuda/driver.h"

namespace tensorrt_node::decode {

StepRing::StepRing(const tensorrt::DeviceMemory& memory, std::size_t steps, std::size_t records) {
  entries_.reserve(steps);
  for (std::size_t step = 0; step < steps; ++step) {
    entries_.push_back({.records = memory.pinned->allocate(records * sizeof(kernels::TokenRecord)),
                        .done = cuda::Event(memory.context),
                        .count = 0});
  }
}

StepNumber StepRing::finish(const cuda::Stream& stream, cuda::DeviceBlock& from, std::size_t records) {
  Entry& next = entry(last_ + 1);
  cuda::copyToHost(stream, next.records, 0, from, 0, records * sizeof(kernels::TokenRecord));
  stream.record(next.done);
  next.count = records;
  return ++last_;
}

bool StepRing::done(StepNumber step) const {
  return entry(step).done.passed();
}

void StepRing::wait(StepNumber step) const {
  entry(step).done.wait();
}

std::span<const kernels::TokenRecord> StepRing::records(StepNumber step) const {
  const Entry& of = entry(step);
  cuda::noteHostAccess(of.records.data(), of.count * sizeof(kernels::TokenRecord), false);
  return {reinterpret_cast<const kernels::TokenRecord*>(of.records.data()), of.count};
}

}  // namespace tensorrt_node::decode
