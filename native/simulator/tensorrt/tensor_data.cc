#include "tensor_data.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace simulated_tensorrt {

namespace {

template <typename Value>
Value load(const std::byte* data, std::size_t index) {
  Value value;
  std::memcpy(&value, data + index * sizeof(Value), sizeof(Value));
  return value;
}

template <typename Value>
void store(std::byte* data, std::size_t index, Value value) {
  std::memcpy(data + index * sizeof(Value), &value, sizeof(Value));
}

double halfToDouble(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return fraction != 0 ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(fraction + 1024, exponent - 25);
}

std::uint16_t halfFromDouble(double value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value)) return 0x7E00;
  const double magnitude = std::fabs(value);
  // 65520 is half way between the largest number and the one that would follow.
  if (magnitude >= 65520) return sign | 0x7C00;
  if (magnitude < std::ldexp(1, -14)) return static_cast<std::uint16_t>(sign | std::lrint(std::ldexp(magnitude, 24)));
  int exponent = 0;
  const double fraction = std::frexp(magnitude, &exponent);
  // Rounding up to the next power of two carries into the exponent, as it should.
  return static_cast<std::uint16_t>(sign | ((exponent + 13) * 1024 + std::lrint(std::ldexp(fraction, 11))));
}

double bfloatToDouble(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::uint16_t bfloatFromDouble(double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  if (std::isnan(value)) return 0x7FC0;
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

}  // namespace

std::size_t sizeOf(DataType type) {
  switch (type) {
    case DataType::kINT64:
      return 8;
    case DataType::kFLOAT:
    case DataType::kINT32:
      return 4;
    case DataType::kHALF:
    case DataType::kBF16:
      return 2;
    case DataType::kINT8:
    case DataType::kUINT8:
    case DataType::kBOOL:
    case DataType::kFP8:
      return 1;
    default:
      throw std::runtime_error(std::string("the type ") + nameOf(type) + " is not simulated");
  }
}

const char* nameOf(DataType type) {
  switch (type) {
    case DataType::kFLOAT:
      return "Float";
    case DataType::kHALF:
      return "Half";
    case DataType::kINT8:
      return "Int8";
    case DataType::kINT32:
      return "Int32";
    case DataType::kBOOL:
      return "Bool";
    case DataType::kUINT8:
      return "UInt8";
    case DataType::kFP8:
      return "FP8";
    case DataType::kBF16:
      return "BFloat16";
    case DataType::kINT64:
      return "Int64";
    case DataType::kINT4:
      return "Int4";
    default:
      return "Unknown";
  }
}

bool isFloat(DataType type) {
  return type == DataType::kFLOAT || type == DataType::kHALF || type == DataType::kBF16;
}

bool isKnown(const Shape& shape) {
  return std::all_of(shape.begin(), shape.end(), [](std::int64_t each) { return each >= 0; });
}

std::size_t elementsOf(const Shape& shape) {
  std::size_t count = 1;
  for (const std::int64_t each : shape) count *= static_cast<std::size_t>(std::max<std::int64_t>(each, 0));
  return count;
}

std::string textOf(const Shape& shape) {
  std::string text = "[";
  for (const std::int64_t each : shape) text += (text.size() > 1 ? "," : "") + std::to_string(each);
  return text + "]";
}

Shape shapeOf(const nvinfer1::Dims& dims) {
  return Shape(dims.d, dims.d + std::clamp(dims.nbDims, 0, nvinfer1::Dims::MAX_DIMS));
}

nvinfer1::Dims dimsOf(const Shape& shape) {
  nvinfer1::Dims dims{};
  if (shape.size() > nvinfer1::Dims::MAX_DIMS) throw std::runtime_error("a shape of more than 8 dimensions");
  dims.nbDims = static_cast<std::int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dims.d);
  return dims;
}

Tensor makeTensor(DataType type, Shape dims) {
  const std::size_t bytes = elementsOf(dims) * sizeOf(type);
  return {type, std::move(dims), std::vector<std::byte>(bytes)};
}

double loadFloat(DataType type, const std::byte* data, std::size_t index) {
  switch (type) {
    case DataType::kFLOAT:
      return load<float>(data, index);
    case DataType::kHALF:
      return halfToDouble(load<std::uint16_t>(data, index));
    case DataType::kBF16:
      return bfloatToDouble(load<std::uint16_t>(data, index));
    default:
      return static_cast<double>(loadInteger(type, data, index));
  }
}

std::int64_t loadInteger(DataType type, const std::byte* data, std::size_t index) {
  switch (type) {
    case DataType::kINT64:
      return load<std::int64_t>(data, index);
    case DataType::kINT32:
      return load<std::int32_t>(data, index);
    case DataType::kINT8:
      return load<std::int8_t>(data, index);
    case DataType::kUINT8:
    case DataType::kFP8:
      return load<std::uint8_t>(data, index);
    case DataType::kBOOL:
      return load<std::uint8_t>(data, index) != 0 ? 1 : 0;
    default:
      return static_cast<std::int64_t>(loadFloat(type, data, index));
  }
}

void storeFloat(DataType type, std::byte* data, std::size_t index, double value) {
  switch (type) {
    case DataType::kFLOAT:
      return store(data, index, static_cast<float>(value));
    case DataType::kHALF:
      return store(data, index, halfFromDouble(value));
    case DataType::kBF16:
      return store(data, index, bfloatFromDouble(value));
    case DataType::kBOOL:
      return store<std::uint8_t>(data, index, value != 0 ? 1 : 0);
    default:
      return storeInteger(type, data, index, std::isfinite(value) ? static_cast<std::int64_t>(value) : 0);
  }
}

void storeInteger(DataType type, std::byte* data, std::size_t index, std::int64_t value) {
  switch (type) {
    case DataType::kINT64:
      return store(data, index, value);
    case DataType::kINT32:
      return store(data, index, static_cast<std::int32_t>(value));
    case DataType::kINT8:
      return store(data, index, static_cast<std::int8_t>(value));
    case DataType::kUINT8:
    case DataType::kFP8:
      return store(data, index, static_cast<std::uint8_t>(value));
    case DataType::kBOOL:
      return store<std::uint8_t>(data, index, value != 0 ? 1 : 0);
    default:
      return storeFloat(type, data, index, static_cast<double>(value));
  }
}

std::vector<std::int64_t> integersOf(const Tensor& tensor) {
  std::vector<std::int64_t> values;
  for (std::size_t i = 0; i < elementsOf(tensor.dims); ++i)
    values.push_back(loadInteger(tensor.type, tensor.data.data(), i));
  return values;
}

}  // namespace simulated_tensorrt
