// Tells an observer (simulatorObserve) what streams do and what calls queue.
#pragma once

#include <chrono>
#include <cstdint>

#include "simulator.h"

namespace simulator {

using Time = std::chrono::steady_clock::time_point;

// Whether there is anybody to tell; cheap.
bool observed() noexcept;
// Called without the lock of the world, or with it.
void tell(const SimulatorActivity& activity);

// Nanoseconds of CLOCK_MONOTONIC.
std::uint64_t nanoseconds(Time time) noexcept;

}  // namespace simulator
