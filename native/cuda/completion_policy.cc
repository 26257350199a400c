#include "completion_policy.h"

#include <algorithm>

namespace tensorrt_node::cuda {

namespace {

using Duration = CompletionPolicy::Duration;
using std::chrono::microseconds;

// Shorter work is waited for without sleeping: a sleep cannot be trusted to end in time.
constexpr Duration kShort = microseconds(1000);
// Work that never ran is asked after for so long before the first sleep.
constexpr Duration kUnknown = microseconds(300);
// Sleeps end so much before the work should, and at least an eighth of it.
constexpr Duration kMargin = microseconds(150);
// Sleeps while the work is late: from the one to the other, a sixteenth of what has passed.
constexpr Duration kShortestSleep = microseconds(50);
constexpr Duration kLongestSleep = microseconds(2000);

}  // namespace

Duration CompletionPolicy::expected() const noexcept {
  const std::size_t known = std::min(count_, last_.size());
  return known == 0 ? Duration::zero() : *std::min_element(last_.begin(), last_.begin() + static_cast<long>(known));
}

CompletionPolicy::Step CompletionPolicy::next(Duration elapsed) const noexcept {
  const Duration expect = expected();
  if (expect > kShort) {
    const Duration wake = expect - std::max(kMargin, expect / 8);
    if (elapsed < wake) return {.spin = false, .sleepUntil = wake};
  }
  // A quarter more than expected, and at least a little of what jitter there always is.
  const Duration patience = count_ == 0 ? kUnknown : expect + std::max(kUnknown, std::min(expect / 4, 2 * kShort));
  if (elapsed < patience) return {.spin = true};
  return {.spin = false, .sleepUntil = elapsed + std::clamp(elapsed / 16, kShortestSleep, kLongestSleep)};
}

void CompletionPolicy::finished(Duration took) noexcept {
  last_[count_ % last_.size()] = took;
  ++count_;
}

}  // namespace tensorrt_node::cuda
