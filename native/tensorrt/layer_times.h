// How long a layer takes, run by run.
#pragma once

#include <string>
#include <vector>

namespace tensorrt_node::tensorrt {

struct LayerTimes {
  // TensorRT's; the layer's number in plans that were built to tell nothing.
  std::string name;
  // Of each run; what has a name in common is added up, as are the turns of a loop.
  std::vector<float> milliseconds;
};

}  // namespace tensorrt_node::tensorrt
