// A request's options, set on a builder's config.
#pragma once

#include <NvInfer.h>

#include "build_request.h"
#include "version.h"

namespace tensorrt_node::tensorrt {

// Throws UnsupportedError for what the loaded TensorRT lacks, TensorrtError for what it refuses.
void configure(nvinfer1::IBuilderConfig& config, const BuildRequest& request, const Version& version);

}  // namespace tensorrt_node::tensorrt
