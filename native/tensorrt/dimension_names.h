// Names of inputs' dimensions, which TensorRT takes for a promise: dimensions of one name are equal in every run.
#pragma once

#include <NvInfer.h>

#include <vector>

#include "build_request.h"

namespace tensorrt_node::tensorrt {

// Clears the names that a profile breaks: many exporters call every unknown dimension "?". TensorRT would refuse such
// profiles.
void clearBrokenNames(nvinfer1::INetworkDefinition& network, const std::vector<RequestedProfile>& profiles);

}  // namespace tensorrt_node::tensorrt
