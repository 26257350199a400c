// Attributes of an operator: read from what TensorRT's parser or a plan brings, written for a plan.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace tensorrt_node::tensorrt::plugins {

class Fields {
 public:
  explicit Fields(const nvinfer1::PluginFieldCollection* fields) : fields_(fields) {}

  // All throw std::invalid_argument where the attribute has another type, or is missing and has no default.
  std::int32_t integer(std::string_view name) const;
  std::int32_t integer(std::string_view name, std::int32_t otherwise) const;
  float real(std::string_view name) const;
  float real(std::string_view name, float otherwise) const;
  std::string text(std::string_view name) const;
  std::string text(std::string_view name, const std::string& otherwise) const;

 private:
  const nvinfer1::PluginField* find(std::string_view name) const noexcept;
  const nvinfer1::PluginField& required(std::string_view name) const;

  const nvinfer1::PluginFieldCollection* fields_;
};

// What TensorRT is to keep of a plugin; good until it is changed or gone.
class SavedFields {
 public:
  void integer(const char* name, std::int32_t value);
  void real(const char* name, float value);
  void text(const char* name, std::string value);
  void clear() noexcept;

  const nvinfer1::PluginFieldCollection& collection() noexcept;

 private:
  std::deque<std::int32_t> integers_;
  std::deque<float> reals_;
  std::deque<std::string> texts_;
  std::vector<nvinfer1::PluginField> fields_;
  nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace tensorrt_node::tensorrt::plugins
