// TensorRT's builder and what it makes, or an error. CUDA must be initialised and a context current.
#pragma once

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <memory>

#include "libraries.h"

namespace tensorrt_node::tensorrt {

// All throw TensorrtError. What a builder makes must be gone before it.
std::unique_ptr<nvinfer1::IBuilder> createBuilder(const Libraries& libraries);
std::unique_ptr<nvinfer1::IBuilderConfig> createConfig(nvinfer1::IBuilder& builder);
std::unique_ptr<nvinfer1::INetworkDefinition> createNetwork(nvinfer1::IBuilder& builder, bool stronglyTyped);
// Holds the network's weights: it must outlive the build.
std::unique_ptr<nvonnxparser::IParser> createParser(const Libraries& libraries, nvinfer1::INetworkDefinition& network);

}  // namespace tensorrt_node::tensorrt
