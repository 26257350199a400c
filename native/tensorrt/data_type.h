// TensorRT's element types that have a counterpart in JavaScript: their names and sizes.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <optional>
#include <string_view>

namespace tensorrt_node::tensorrt {

// By ONNX's name: "float32". Nothing for any other.
std::optional<nvinfer1::DataType> dataType(std::string_view name) noexcept;

// ONNX's name of the type; null for one that has no counterpart.
const char* typeName(nvinfer1::DataType type) noexcept;

// Of one element; 4-bit ones are two to a byte. 64, the most, for a type that has no counterpart.
std::size_t bitsOf(nvinfer1::DataType type) noexcept;

}  // namespace tensorrt_node::tensorrt
