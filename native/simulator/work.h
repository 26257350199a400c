// What is put on a stream, or captured into a graph: what it touches, what it takes, what it does.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "history.h"
#include "simulator.h"

namespace simulator {

enum class Place {
  // Of the device.
  device,
  // Of the host, pinned or not.
  host,
  // Any that the driver knows.
  any,
};

struct Touch {
  std::uintptr_t address;
  std::size_t bytes;
  bool write;
  Place place;
};

// A number that the host may watch for instead of an event.
struct Signal {
  std::uintptr_t address;
  std::uint32_t value;
};

// What observers are told of work beyond its name, its stream and its times.
struct Report {
  SimulatorActivityKind kind = SIMULATOR_KERNEL;
  SimulatorMemoryKind from = SIMULATOR_PAGEABLE;
  SimulatorMemoryKind to = SIMULATOR_PAGEABLE;
  std::array<unsigned, 3> grid{};
  std::array<unsigned, 3> block{};
  unsigned sharedBytes = 0;
};

struct Work {
  // "cuMemcpyHtoDAsync".
  std::string what;
  std::vector<Touch> touches;
  // Bytes that are moved, at the rate of copies.
  std::size_t copied = 0;
  // Beyond what every operation takes.
  std::chrono::nanoseconds duration{0};
  // Called without the world's lock, with the access that it is; null for nothing to do.
  std::function<void(const Access&)> run;
  std::optional<Signal> signal;
  // Nothing is told without one.
  std::optional<Report> report = std::nullopt;
};

}  // namespace simulator
