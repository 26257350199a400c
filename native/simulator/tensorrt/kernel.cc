#include "kernel.h"

#include <memory>

namespace simulated_tensorrt {

int launch(cudaStream_t stream, const std::string& name, const std::vector<SimulatorRange>& ranges,
           std::uint64_t nanoseconds, std::function<void()> run) {
  using Run = std::function<void()>;
  SimulatorKernel kernel{};
  kernel.name = name.c_str();
  kernel.ranges = ranges.data();
  kernel.rangeCount = ranges.size();
  kernel.nanoseconds = nanoseconds;
  kernel.run = [](void* data) { (*static_cast<Run*>(data))(); };
  kernel.release = [](void* data) { std::unique_ptr<Run>(static_cast<Run*>(data)); };
  kernel.data = std::make_unique<Run>(std::move(run)).release();
  return simulatorLaunch(stream, &kernel);
}

}  // namespace simulated_tensorrt
