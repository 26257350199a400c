#include "data_type.h"

#include <array>

namespace tensorrt_node::tensorrt {
namespace {

using nvinfer1::DataType;

struct Named {
  const char* name;
  DataType type;
  std::size_t bits;
};

constexpr std::array kTypes{
    Named{"float32", DataType::kFLOAT, 32}, Named{"float16", DataType::kHALF, 16},
    Named{"bfloat16", DataType::kBF16, 16}, Named{"float8e4m3fn", DataType::kFP8, 8},
    Named{"int8", DataType::kINT8, 8},      Named{"uint8", DataType::kUINT8, 8},
    Named{"int32", DataType::kINT32, 32},   Named{"int64", DataType::kINT64, 64},
    Named{"bool", DataType::kBOOL, 8},      Named{"int4", DataType::kINT4, 4},
};

const Named* find(DataType type) noexcept {
  for (const Named& each : kTypes)
    if (each.type == type) return &each;
  return nullptr;
}

}  // namespace

std::optional<DataType> dataType(std::string_view name) noexcept {
  for (const Named& each : kTypes)
    if (name == each.name) return each.type;
  return std::nullopt;
}

const char* typeName(DataType type) noexcept {
  const Named* const known = find(type);
  return known == nullptr ? nullptr : known->name;
}

std::size_t bitsOf(DataType type) noexcept {
  const Named* const known = find(type);
  return known == nullptr ? 64 : known->bits;
}

}  // namespace tensorrt_node::tensorrt
