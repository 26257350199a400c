// What an engine's inputs and outputs are: types, shapes, the ranges of its optimization profiles.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tensorrt_node::tensorrt {

// Dimensions, -1 where dynamic.
using Shape = std::vector<std::int64_t>;

struct Range {
  std::vector<std::int64_t> min;
  std::vector<std::int64_t> opt;
  std::vector<std::int64_t> max;
};

// What an input may be under one optimization profile.
struct ProfileRange {
  Range dims;
  // Of the content, for inputs that hold a shape.
  std::optional<Range> values;
};

struct TensorInfo {
  std::string name;
  bool input = false;
  // One that has a typeName().
  nvinfer1::DataType type = nvinfer1::DataType::kFLOAT;
  Shape dims;
  // The engine reads or writes it in host memory.
  bool host = false;
  // Its content decides shapes.
  bool shapeTensor = false;
  // Of inputs, one for each profile.
  std::vector<ProfileRange> profiles;
};

// Bytes of a dense tensor; elements of four bits are rounded up to whole bytes. Throws std::invalid_argument for a
// dimension below 0 and for more bytes than there are.
std::size_t tensorBytes(nvinfer1::DataType type, std::span<const std::int64_t> dims);

// "[8, 3, 48, 320]".
std::string shapeText(std::span<const std::int64_t> dims);

// TensorRT's dimensions, at most 8. Throws std::invalid_argument.
nvinfer1::Dims toDims(std::span<const std::int64_t> shape);
Shape toShape(const nvinfer1::Dims& dims);

// The inputs and outputs of an engine. Throws TensorrtError, and UnsupportedError for types and memory layouts that
// have no counterpart in JavaScript. `valuesV2`: the library has getProfileTensorValuesV2 (10.11).
std::vector<TensorInfo> describeTensors(const nvinfer1::ICudaEngine& engine, bool valuesV2);

}  // namespace tensorrt_node::tensorrt
