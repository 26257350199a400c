// Asking a calibrator for its batches.
#pragma once

#include <NvInfer.h>

#include <stdexcept>
#include <string>

#include "config.h"
#include "graph.h"

namespace simulated_tensorrt {

// The calibration cache: the calibrator's own, or one made of its batches and written back to it. Batches have the
// optimal shapes of the calibration profile, else of the first. Throws std::runtime_error.
std::string calibrate(const Graph& graph, const Config& config, nvinfer1::ILogger& logger);

}  // namespace simulated_tensorrt
