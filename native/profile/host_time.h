// The host's clock, by which everything is told.
#pragma once

#include <time.h>

#include <cstdint>

namespace tensorrt_node::profile {

// Nanoseconds of CLOCK_MONOTONIC.
inline std::int64_t hostTime() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace tensorrt_node::profile
