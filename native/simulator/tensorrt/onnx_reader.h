// ONNX files as graphs.
#pragma once

#include <string>

#include "graph.h"
#include "protobuf.h"

namespace simulated_tensorrt {

// Reads a model; `folder` is where its external data lies. Throws std::runtime_error for bytes that are no model, and
// for what TensorRT has no type for. Operators are not looked at.
Graph readOnnx(Bytes model, const std::string& folder);

}  // namespace simulated_tensorrt
