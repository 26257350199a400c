// TensorRT's element types by ONNX's names.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <optional>
#include <string_view>

namespace tensorrt_node::tensorrt {

// Nothing for a name that TensorRT has no type for.
std::optional<nvinfer1::DataType> dataType(std::string_view name) noexcept;

// Of one element; 4-bit ones are two to a byte.
std::size_t bitsOf(nvinfer1::DataType type) noexcept;

}  // namespace tensorrt_node::tensorrt
