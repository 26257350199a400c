// One thing that the GPU did, as a few numbers: lib/native/activities.ts reads them where they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tensorrt_node::profile {

enum class ActivityKind : std::uint32_t { kernel, copy, set, graph, synchronize, range };

enum class Direction : std::uint32_t { none, toDevice, toHost, onDevice };

struct Activity {
  // Nanoseconds since the origin that the collection was started with.
  double start = 0;
  double end = 0;
  // Copied or set. CUPTI's ranges, which have no times and are not given away, have their number here.
  double bytes = 0;
  ActivityKind kind = ActivityKind::kernel;
  Direction direction = Direction::none;
  std::uint32_t pageable = 0;
  std::uint32_t device = 0;
  std::uint32_t stream = 0;
  // Numbers of names, counted from 1; 0 for none.
  std::uint32_t streamName = 0;
  std::uint32_t name = 0;
  // 0 for none, as of correlations.
  std::uint32_t graph = 0;
  std::uint32_t correlation = 0;
  std::uint32_t grid[3] = {};
  std::uint32_t block[3] = {};
  std::uint32_t sharedBytes = 0;
  std::uint32_t registers = 0;
  // Numbers of names: of the phase and of the part of the model that it is of.
  std::uint32_t phase = 0;
  std::uint32_t layer = 0;
  // That queued it; 0 for none.
  std::uint32_t step = 0;
};
static_assert(std::is_trivially_copyable_v<Activity>);
static_assert(sizeof(Activity) == 104 && offsetof(Activity, kind) == 24 && offsetof(Activity, correlation) == 56 &&
              offsetof(Activity, registers) == 88 && offsetof(Activity, step) == 100);

}  // namespace tensorrt_node::profile
