// Elements, shapes and whole tensors in host memory.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace simulated_tensorrt {

using nvinfer1::DataType;
// -1 where not known.
using Shape = std::vector<std::int64_t>;

struct Tensor {
  DataType type = DataType::kFLOAT;
  Shape dims;
  std::vector<std::byte> data;
};

// Bytes of an element; those of four bits are not simulated.
std::size_t sizeOf(DataType type);
const char* nameOf(DataType type);
bool isFloat(DataType type);

// False while a dimension is not known.
bool isKnown(const Shape& shape);
std::size_t elementsOf(const Shape& shape);
std::string textOf(const Shape& shape);
Shape shapeOf(const nvinfer1::Dims& dims);
nvinfer1::Dims dimsOf(const Shape& shape);

Tensor makeTensor(DataType type, Shape dims);
// Element `index` of `data`, whatever its type.
double loadFloat(DataType type, const std::byte* data, std::size_t index);
std::int64_t loadInteger(DataType type, const std::byte* data, std::size_t index);
void storeFloat(DataType type, std::byte* data, std::size_t index, double value);
void storeInteger(DataType type, std::byte* data, std::size_t index, std::int64_t value);
// All elements of a tensor of integers.
std::vector<std::int64_t> integersOf(const Tensor& tensor);

}  // namespace simulated_tensorrt
