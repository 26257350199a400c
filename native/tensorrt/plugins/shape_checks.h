// Checks of an operator's shapes, with messages that name tensor, shape and what was expected.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>

namespace tensorrt_node::tensorrt::plugins {

// Throws std::invalid_argument unless the tensor has this many dimensions.
void requireRank(const nvinfer1::Dims& dims, int rank, const char* tensor);
// Throws std::invalid_argument unless dimension `index` has this size.
void requireSize(const nvinfer1::Dims& dims, int index, std::int64_t size, const char* tensor);

}  // namespace tensorrt_node::tensorrt::plugins
