// New weights for an engine that is there already.
#pragma once

#include <NvInferRuntime.h>

#include <string>

#include "libraries.h"

namespace tensorrt_node::tensorrt {

// Replaces the weights of a refittable engine by those of the ONNX file it was built from, or of one equal to it but
// for weights. Nothing may be running on the engine, and a context of its device must be current. Throws
// TensorrtError; the engine may then hold some of the new weights.
void refitFromOnnx(const Libraries& libraries, nvinfer1::ICudaEngine& engine, const std::string& model);

}  // namespace tensorrt_node::tensorrt
