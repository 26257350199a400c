// The operators that are simulated.
#pragma once

#include <NvInfer.h>

#include <string>
#include <vector>

#include "graph.h"

namespace simulated_tensorrt {

struct Operator {
  const char* name;
  nvinfer1::LayerType layer;
  // Both throw std::runtime_error. Inputs that were left out are null.
  Info (*infer)(const Node& node, const std::vector<const Info*>& inputs);
  Tensor (*run)(const Node& node, const std::vector<const Tensor*>& inputs);
};

// Null for one that is not simulated.
const Operator* findOperator(const std::string& name);

}  // namespace simulated_tensorrt
