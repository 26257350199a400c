#include "tensor_info.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "data_type.h"
#include "error.h"

namespace tensorrt_node::tensorrt {
namespace {

using nvinfer1::DataType;
using nvinfer1::OptProfileSelector;

DataType typeOf(const nvinfer1::ICudaEngine& engine, const char* name) {
  const DataType type = engine.getTensorDataType(name);
  if (typeName(type) == nullptr)
    throw UnsupportedError("tensor '" + std::string(name) + "' has TensorRT's data type " +
                               std::to_string(static_cast<int>(type)) + ", which is not supported here",
                           "cast it to another type at the edge of the network");
  return type;
}

Range dimsRange(const nvinfer1::ICudaEngine& engine, const char* name, int profile, const Shape& dims) {
  if (std::none_of(dims.begin(), dims.end(), [](std::int64_t dim) { return dim < 0; })) return {dims, dims, dims};
  const auto get = [&](OptProfileSelector select) { return toShape(engine.getProfileShape(name, profile, select)); };
  return {get(OptProfileSelector::kMIN), get(OptProfileSelector::kOPT), get(OptProfileSelector::kMAX)};
}

template <typename Integer>
std::vector<std::int64_t> copied(const Integer* values, std::size_t count) {
  return {values, values + count};
}

// `count` values of one selector, however the plan was built; nothing when it holds none.
std::optional<std::vector<std::int64_t>> values(const nvinfer1::ICudaEngine& engine, const char* name, int profile,
                                                OptProfileSelector select, std::size_t count, bool valuesV2) {
  if (valuesV2)
    if (const std::int64_t* wide = engine.getProfileTensorValuesV2(name, profile, select)) return copied(wide, count);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const std::int32_t* narrow = engine.getProfileTensorValues(name, profile, select);
#pragma GCC diagnostic pop
  if (narrow == nullptr) return std::nullopt;
  return copied(narrow, count);
}

std::optional<Range> valuesRange(const nvinfer1::ICudaEngine& engine, const TensorInfo& tensor, int profile,
                                 bool valuesV2) {
  std::size_t count = 1;
  for (const std::int64_t dim : tensor.dims) {
    if (dim < 0) return std::nullopt;
    count *= static_cast<std::size_t>(dim);
  }
  const auto get = [&](OptProfileSelector select) {
    return values(engine, tensor.name.c_str(), profile, select, count, valuesV2);
  };
  auto min = get(OptProfileSelector::kMIN);
  auto opt = get(OptProfileSelector::kOPT);
  auto max = get(OptProfileSelector::kMAX);
  if (!min || !opt || !max) return std::nullopt;
  return Range{std::move(*min), std::move(*opt), std::move(*max)};
}

TensorInfo describeTensor(const nvinfer1::ICudaEngine& engine, const char* name, bool valuesV2) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.input = engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
  tensor.type = typeOf(engine, name);
  tensor.dims = toShape(engine.getTensorShape(name));
  tensor.host = engine.getTensorLocation(name) == nvinfer1::TensorLocation::kHOST;
  tensor.shapeTensor = engine.isShapeInferenceIO(name);
  const int profiles = engine.getNbOptimizationProfiles();
  for (int profile = 0; profile < profiles; ++profile) {
    if (!tensor.host && engine.getTensorFormat(name, profile) != nvinfer1::TensorFormat::kLINEAR)
      throw UnsupportedError("tensor '" + tensor.name + "' is laid out as " +
                                 engine.getTensorFormatDesc(name, profile) + ", only row-major tensors are supported",
                             "build the engine without setting allowed formats of inputs and outputs");
    if (!tensor.input) continue;
    ProfileRange range{dimsRange(engine, name, profile, tensor.dims), std::nullopt};
    if (tensor.shapeTensor) range.values = valuesRange(engine, tensor, profile, valuesV2);
    tensor.profiles.push_back(std::move(range));
  }
  return tensor;
}

}  // namespace

std::size_t tensorBytes(DataType type, std::span<const std::int64_t> dims) {
  if (std::any_of(dims.begin(), dims.end(), [](std::int64_t dim) { return dim < 0; }))
    throw std::invalid_argument("a tensor of shape " + shapeText(dims) + " has no size");
  if (std::find(dims.begin(), dims.end(), 0) != dims.end()) return 0;
  // Leaves room for the bits of the widest type.
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 64;
  std::size_t elements = 1;
  for (const std::int64_t dim : dims) {
    if (static_cast<std::size_t>(dim) > most / elements)
      throw std::invalid_argument("a tensor of shape " + shapeText(dims) + " is larger than memory can be");
    elements *= static_cast<std::size_t>(dim);
  }
  return (elements * bitsOf(type) + 7) / 8;
}

std::string shapeText(std::span<const std::int64_t> dims) {
  std::string text = "[";
  for (const std::int64_t dim : dims) text += (text.size() == 1 ? "" : ", ") + std::to_string(dim);
  return text + "]";
}

nvinfer1::Dims toDims(std::span<const std::int64_t> shape) {
  nvinfer1::Dims dims{};
  if (shape.size() > static_cast<std::size_t>(nvinfer1::Dims::MAX_DIMS))
    throw std::invalid_argument("a tensor of shape " + shapeText(shape) + " has more dimensions than TensorRT's 8");
  dims.nbDims = static_cast<std::int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dims.d);
  return dims;
}

Shape toShape(const nvinfer1::Dims& dims) {
  return {dims.d, dims.d + std::max(dims.nbDims, 0)};
}

std::vector<TensorInfo> describeTensors(const nvinfer1::ICudaEngine& engine, bool valuesV2) {
  std::vector<TensorInfo> tensors;
  const int count = engine.getNbIOTensors();
  for (int i = 0; i < count; ++i) {
    const char* const name = engine.getIOTensorName(i);
    if (name == nullptr)
      throw TensorrtError("getIOTensorName", "the engine does not name its tensor " + std::to_string(i));
    tensors.push_back(describeTensor(engine, name, valuesV2));
  }
  return tensors;
}

}  // namespace tensorrt_node::tensorrt
