// How long steps took, how many rows they had, and how long they waited for their weights: counts by upper bounds.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace tensorrt_node::decode {

// Of fixed size, so that counting takes no memory. Bounds ascend; a value that equals one is below it.
template <std::size_t Size>
class Histogram {
 public:
  explicit constexpr Histogram(const std::array<double, Size>& bounds) : bounds_(&bounds) {}

  void observe(double value) noexcept {
    ++counts_[static_cast<std::size_t>(std::lower_bound(bounds_->begin(), bounds_->end(), value) - bounds_->begin())];
    sum_ += value;
  }

  const std::array<double, Size>& bounds() const noexcept { return *bounds_; }
  // The last is of values above all bounds.
  const std::array<std::uint64_t, Size + 1>& counts() const noexcept { return counts_; }
  double sum() const noexcept { return sum_; }

 private:
  const std::array<double, Size>* bounds_;
  std::array<std::uint64_t, Size + 1> counts_{};
  double sum_ = 0;
};

// Seconds, from 0.1 ms: a step of a small model takes half of one.
inline constexpr std::array<double, 28> stepBounds{1e-4, 1.5e-4, 2e-4, 3e-4,  5e-4, 7e-4, 1e-3, 1.5e-3, 2e-3, 3e-3,
                                                   5e-3, 7e-3,   0.01, 0.015, 0.02, 0.03, 0.05, 0.07,   0.1,  0.15,
                                                   0.2,  0.3,    0.5,  0.7,   1,    2.5,  5,    10};
// Also that a step did not wait.
inline constexpr std::array<double, 29> waitBounds = [] {
  std::array<double, 29> bounds{};
  std::copy(stepBounds.begin(), stepBounds.end(), bounds.begin() + 1);
  return bounds;
}();
inline constexpr std::array<double, 10> rowBounds{1, 2, 4, 8, 16, 32, 64, 128, 256, 512};

struct StepHistograms {
  // From the end of the step before, or from when it was queued where that was later, to when its end was seen.
  Histogram<stepBounds.size()> prefillSeconds{stepBounds};
  Histogram<stepBounds.size()> decodeSeconds{stepBounds};
  // Of decode steps.
  Histogram<rowBounds.size()> decodeRows{rowBounds};
  // Of steps, where weights move: for copies, on the GPU, and for the disk.
  Histogram<waitBounds.size()> weightsWaitSeconds{waitBounds};
};

}  // namespace tensorrt_node::decode
