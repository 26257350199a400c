// Vector clocks: who knows of whose work. A timeline is a stream, or the host.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace simulator {

using Timeline = std::size_t;
inline constexpr Timeline hostTimeline = 0;

class Clock {
 public:
  bool knows(Timeline timeline, std::uint64_t tick) const noexcept { return at(timeline) >= tick; }
  std::uint64_t at(Timeline timeline) const noexcept { return timeline < ticks_.size() ? ticks_[timeline] : 0; }

  std::uint64_t advance(Timeline timeline) {
    if (timeline >= ticks_.size()) ticks_.resize(timeline + 1);
    return ++ticks_[timeline];
  }

  void learn(Timeline timeline, std::uint64_t tick) {
    if (timeline >= ticks_.size()) ticks_.resize(timeline + 1);
    ticks_[timeline] = std::max(ticks_[timeline], tick);
  }

  void join(const Clock& other) {
    if (other.ticks_.size() > ticks_.size()) ticks_.resize(other.ticks_.size());
    for (std::size_t i = 0; i < other.ticks_.size(); ++i) ticks_[i] = std::max(ticks_[i], other.ticks_[i]);
  }

 private:
  std::vector<std::uint64_t> ticks_;
};

}  // namespace simulator
