// A part of the host's work, such as a step: what this thread queues in it is known as its work.
#pragma once

#include <cstdint>

#include "collector.h"

namespace tensorrt_node::profile {

// Next to free unless ranges are being collected. Begins and ends on one thread; ranges may stand in one another.
class Range {
 public:
  explicit Range(std::uint64_t number) noexcept : entered_(Collector::instance().enter(number)) {}
  ~Range() {
    if (entered_) Collector::instance().leave();
  }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  const bool entered_;
};

}  // namespace tensorrt_node::profile
