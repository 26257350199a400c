// How long an engine's layers take: runs on an execution context of their own, with TensorRT's profiler.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "engine.h"
#include "layer_profiler.h"
#include "run_queue.h"

namespace tensorrt_node::tensorrt {

struct LayerRunOptions {
  // At least one.
  std::size_t runs = 1;
  // Runs before those, whose times are dropped; one more is made in any case.
  std::size_t warmUp = 0;
};

struct LayerProfile {
  std::vector<LayerTimes> layers;
  // Of each run, by events around the network's work, without copies: without the profiler, and with it. Milliseconds.
  std::vector<float> runs;
  std::vector<float> profiledRuns;
  // What the inspector tells of the layers with these shapes, as JSON text.
  std::string information;
};

// Takes as many runs without the profiler as with it, as its events stand between layers that would overlap. Inputs
// are copied to the device once. Throws what runs throw, and AbortedError where `stop` asks for it between two.
LayerProfile profileLayers(std::shared_ptr<const Engine> engine, std::span<const RunInput> inputs,
                           const LayerRunOptions& options, const std::stop_token& stop);

}  // namespace tensorrt_node::tensorrt
