// The clock of all timings.
#pragma once

#include <chrono>

namespace tensorrt_node::decode {

using Clock = std::chrono::steady_clock;

inline double milliseconds(Clock::duration duration) noexcept {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace tensorrt_node::decode
