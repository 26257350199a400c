// How to wait for GPU work of a kind that was done before: asking without a pause is quickest and takes a core,
// sleeping costs nothing and comes late. So sleep while the work cannot be done, ask while it should be, and sleep
// again if it is late.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>

namespace tensorrt_node::cuda {

class CompletionPolicy {
 public:
  using Duration = std::chrono::nanoseconds;

  struct Step {
    // Ask at once, and again.
    bool spin;
    // Else ask when so much time has passed since the work began.
    Duration sleepUntil{0};
  };

  // What to do when the work began so long ago and is not done.
  Step next(Duration elapsed) const noexcept;

  // The work was done, after so long.
  void finished(Duration took) noexcept;

  // How long it is expected to take: the least of the last four; zero before the first.
  Duration expected() const noexcept;

 private:
  std::array<Duration, 4> last_{};
  std::size_t count_ = 0;
};

}  // namespace tensorrt_node::cuda
