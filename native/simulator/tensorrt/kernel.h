// Work on a CUDA stream that the simulated driver sees like any kernel.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <string>
#include <vector>

#include "simulator/simulator.h"

namespace simulated_tensorrt {

// Queues `run`, or captures it; what it reads and writes is in `ranges`. A CUresult.
int launch(cudaStream_t stream, const std::string& name, const std::vector<SimulatorRange>& ranges,
           std::uint64_t nanoseconds, std::function<void()> run);

}  // namespace simulated_tensorrt
