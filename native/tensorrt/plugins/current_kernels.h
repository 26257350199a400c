// The kernels of the CUDA context that TensorRT calls a plugin in.
#pragma once

#include <memory>

#include "../../kernels/kernels.h"

namespace tensorrt_node::tensorrt::plugins {

// Loaded once for each context, and unloaded with the last owner. Throws CudaError.
std::shared_ptr<const kernels::Kernels> currentKernels();

}  // namespace tensorrt_node::tensorrt::plugins
