#include "activity.h"

#include <atomic>
#include <memory>
#include <mutex>

namespace simulator {

namespace {

struct Observation {
  std::atomic<bool> wanted{false};
  // Held during calls, so that nobody is told after having left.
  std::mutex mutex;
  SimulatorObserver observer = nullptr;
  void* data = nullptr;
};

// Never destroyed: streams work until the very end.
Observation& observation() {
  static Observation& instance = *std::make_unique<Observation>().release();
  return instance;
}

}  // namespace

bool observed() noexcept {
  return observation().wanted.load(std::memory_order_relaxed);
}

void tell(const SimulatorActivity& activity) {
  Observation& all = observation();
  const std::lock_guard lock(all.mutex);
  if (all.observer != nullptr) all.observer(&activity, all.data);
}

std::uint64_t nanoseconds(Time time) noexcept {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

}  // namespace simulator

extern "C" void simulatorObserve(SimulatorObserver observer, void* data) {
  simulator::Observation& all = simulator::observation();
  const std::lock_guard lock(all.mutex);
  all.observer = observer;
  all.data = data;
  all.wanted = observer != nullptr;
}
