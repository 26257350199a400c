// Types that a request sets for single layers of a weakly typed network.
#pragma once

#include <NvInfer.h>

#include <string>
#include <vector>

#include "build_request.h"

namespace tensorrt_node::tensorrt {

// Layers that compute no floating-point numbers (constants, shapes, indices) are left as they are, whatever matches
// their names. Returns the patterns that matched no layer. Throws UnsupportedError for strongly typed networks.
std::vector<std::string> applyOverrides(nvinfer1::INetworkDefinition& network,
                                        const std::vector<LayerOverride>& overrides);

}  // namespace tensorrt_node::tensorrt
