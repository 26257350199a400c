#include "packed_matrix.h"

#include <array>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "shapes.h"

namespace tensorrt_node::tensorrt::plugins {
namespace {

using kernels::CodeType;
using kernels::ElementType;
using kernels::Offsets;

constexpr std::array<std::pair<const char*, CodeType>, 3> kCodes{
    {{"uint4", CodeType::uint4}, {"uint8", CodeType::uint8}, {"float8", CodeType::float8}}};
constexpr std::array<std::pair<const char*, Offsets>, 3> kOffsets{
    {{"middle", Offsets::middle}, {"codes", Offsets::codes}, {"floating", Offsets::floating}}};
constexpr std::array<std::pair<const char*, ElementType>, 2> kHidden{
    {{"float16", ElementType::float16}, {"bfloat16", ElementType::bfloat16}}};

template <typename Values>
auto valueOf(const Values& values, const std::string& name, const char* what) {
  std::string names;
  for (const auto& [each, value] : values) {
    if (name == each) return value;
    names += (names.empty() ? "'" : ", '") + std::string(each) + "'";
  }
  throw std::invalid_argument(std::string(what) + " must be one of " + names + ", got '" + name + "'");
}

template <typename Values, typename Value>
const char* nameIn(const Values& values, Value value) noexcept {
  for (const auto& [name, each] : values)
    if (each == value) return name;
  return "";
}

}  // namespace

kernels::CodeType codeTypeNamed(const std::string& name) {
  return valueOf(kCodes, name, "codes");
}

kernels::Offsets offsetsNamed(const std::string& name) {
  return valueOf(kOffsets, name, "offsets");
}

kernels::ElementType hiddenTypeNamed(const std::string& name) {
  return valueOf(kHidden, name, "type");
}

const char* nameOf(kernels::ElementType type) noexcept {
  return nameIn(kHidden, type);
}

Element elementOf(kernels::ElementType type) noexcept {
  return type == kernels::ElementType::bfloat16 ? Element::bfloat16 : Element::float16;
}

PackedMatrix::PackedMatrix(const Fields& fields)
    : format_{.codes = codeTypeNamed(fields.text("codes")),
              .offsets = offsetsNamed(fields.text("offsets")),
              .block = fields.integer("block"),
              .gated = fields.integer("gated", 0)},
      outer_(fields.integer("outer")),
      inner_(fields.integer("inner")) {
  if (!kernels::servesQuantized(format_, outer_, inner_))
    throw std::invalid_argument("there is no kernel for weights that are quantized so");
}

void PackedMatrix::save(SavedFields& fields) const {
  fields.integer("outer", outer_);
  fields.integer("inner", inner_);
  fields.text("codes", nameIn(kCodes, format_.codes));
  fields.text("offsets", nameIn(kOffsets, format_.offsets));
  fields.integer("block", format_.block);
  fields.integer("gated", format_.gated);
}

void PackedMatrix::check(const nvinfer1::Dims& words, const char* tensor) const {
  requireRank(words, 1, tensor);
  requireSize(words, 0, static_cast<std::int64_t>(kernels::quantizedBytes(format_, outer_, inner_) / 4), tensor);
}

std::vector<nvinfer1::PluginField> withPackedMatrix(std::vector<nvinfer1::PluginField> attributes) {
  attributes.insert(attributes.begin(), {{"outer"}, {"inner"}, {"codes"}, {"offsets"}, {"block"}, {"gated"}});
  return attributes;
}

}  // namespace tensorrt_node::tensorrt::plugins
