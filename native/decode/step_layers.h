// Times of the layers that a step is made of, by the decoder's parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../tensorrt/layer_times.h"
#include "step_policy.h"

namespace tensorrt_node::decode {

struct StepLayersRequest {
  StepKind kind = StepKind::decode;
  // Of a step: as many sequences with a row each, or a sequence with so many.
  std::int32_t rows = 1;
  // Tokens that come before in each sequence.
  std::int32_t context = 0;
  // Steps, at least one, and steps before those, whose times are dropped.
  std::size_t runs = 1;
  std::size_t warmUp = 0;
};

struct PartLayers {
  // Its number in the model.
  std::size_t part;
  // Runs of it in a step: each has a time of its own in the layers.
  std::size_t count;
  std::vector<tensorrt::LayerTimes> layers;
  // What TensorRT's inspector tells of them, as JSON text.
  std::string information;
};

struct StepLayers {
  // Rows that the step has, padding included.
  std::int32_t rows;
  // In the order of the step.
  std::vector<PartLayers> parts;
  // Of all parts together in each step, as steps run them: without the profiler, in one graph where no weights are
  // streamed. Milliseconds.
  std::vector<float> steps;
};

}  // namespace tensorrt_node::decode
