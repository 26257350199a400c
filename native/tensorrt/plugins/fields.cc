#include "fields.h"

#include <stdexcept>
#include <utility>

namespace tensorrt_node::tensorrt::plugins {
namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

const PluginField& typed(const PluginField& field, PluginFieldType type, const char* what) {
  const bool single = type == PluginFieldType::kCHAR || field.length == 1;
  if (field.type != type || !single || field.data == nullptr)
    throw std::invalid_argument(std::string("attribute '") + field.name + "' must be " + what);
  return field;
}

}  // namespace

const PluginField* Fields::find(std::string_view name) const noexcept {
  if (fields_ == nullptr) return nullptr;
  for (std::int32_t i = 0; i < fields_->nbFields; ++i)
    if (fields_->fields[i].name != nullptr && fields_->fields[i].name == name) return &fields_->fields[i];
  return nullptr;
}

const PluginField& Fields::required(std::string_view name) const {
  const PluginField* const found = find(name);
  if (found == nullptr) throw std::invalid_argument("attribute '" + std::string(name) + "' is missing");
  return *found;
}

std::int32_t Fields::integer(std::string_view name) const {
  return *static_cast<const std::int32_t*>(typed(required(name), PluginFieldType::kINT32, "an integer").data);
}

std::int32_t Fields::integer(std::string_view name, std::int32_t otherwise) const {
  return find(name) == nullptr ? otherwise : integer(name);
}

float Fields::real(std::string_view name) const {
  return *static_cast<const float*>(typed(required(name), PluginFieldType::kFLOAT32, "a number").data);
}

float Fields::real(std::string_view name, float otherwise) const {
  return find(name) == nullptr ? otherwise : real(name);
}

std::string Fields::text(std::string_view name) const {
  const PluginField& field = typed(required(name), PluginFieldType::kCHAR, "a text");
  std::string value(static_cast<const char*>(field.data), static_cast<std::size_t>(field.length));
  // The parser ends texts with a zero that counts.
  while (!value.empty() && value.back() == '\0') value.pop_back();
  return value;
}

std::string Fields::text(std::string_view name, const std::string& otherwise) const {
  return find(name) == nullptr ? otherwise : text(name);
}

void SavedFields::integer(const char* name, std::int32_t value) {
  fields_.emplace_back(name, &integers_.emplace_back(value), PluginFieldType::kINT32, 1);
}

void SavedFields::real(const char* name, float value) {
  fields_.emplace_back(name, &reals_.emplace_back(value), PluginFieldType::kFLOAT32, 1);
}

void SavedFields::text(const char* name, std::string value) {
  const std::string& kept = texts_.emplace_back(std::move(value));
  fields_.emplace_back(name, kept.data(), PluginFieldType::kCHAR, static_cast<std::int32_t>(kept.size()));
}

void SavedFields::clear() noexcept {
  fields_.clear();
  integers_.clear();
  reals_.clear();
  texts_.clear();
}

const nvinfer1::PluginFieldCollection& SavedFields::collection() noexcept {
  collection_ = {static_cast<std::int32_t>(fields_.size()), fields_.data()};
  return collection_;
}

}  // namespace tensorrt_node::tensorrt::plugins
