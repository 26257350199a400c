// What a failed call of TensorRT becomes.
#pragma once

#include <string>

#include "logger.h"

namespace tensorrt_node::tensorrt {

// Throws what one of our callbacks failed with, where that is the reason; else TensorrtError with `what` and the errors
// that TensorRT logged; CudaError (CUDA_ERROR_OUT_OF_MEMORY) when those
// say that device memory ran out, which TensorRT tells in no other way.
[[noreturn]] void throwFailure(const char* call, const LogCapture& log, const std::string& what,
                               const std::string& hint = {});

}  // namespace tensorrt_node::tensorrt
