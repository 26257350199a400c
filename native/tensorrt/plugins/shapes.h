// Shapes of operators: checks with messages that name tensor, shape and what was expected, and how to make them.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>

namespace tensorrt_node::tensorrt::plugins {

// Throws std::invalid_argument unless this many inputs are given.
void requireInputs(std::size_t given, std::size_t wanted);
// Throws std::invalid_argument unless the tensor has this many dimensions.
void requireRank(const nvinfer1::Dims& dims, int rank, const char* tensor);
// Throws std::invalid_argument unless dimension `index` has this size.
void requireSize(const nvinfer1::Dims& dims, int index, std::int64_t size, const char* tensor);

// The shape [rows, columns].
nvinfer1::DimsExprs matrix(const nvinfer1::IDimensionExpr* rows, const nvinfer1::IDimensionExpr* columns) noexcept;

}  // namespace tensorrt_node::tensorrt::plugins
