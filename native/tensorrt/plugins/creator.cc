#include "creator.h"

#include <memory>
#include <stdexcept>
#include <utility>

#include "plugin.h"
#include "report.h"

namespace tensorrt_node::tensorrt::plugins {

Creator::Creator(OperatorType type)
    : type_(std::move(type)),
      attributes_{static_cast<std::int32_t>(type_.attributes.size()), type_.attributes.data()} {}

nvinfer1::IPluginV3* Creator::createPlugin(char const*, nvinfer1::PluginFieldCollection const* fields,
                                           nvinfer1::TensorRTPhase phase) noexcept {
  return guarded<nvinfer1::IPluginV3*>(type_.name, "createPlugin", nullptr, [&] {
    const Fields given(fields);
    if (phase == nvinfer1::TensorRTPhase::kRUNTIME && given.integer(kFormatField) != kFormat)
      throw std::invalid_argument("the plan was built by another version of this library: build it again");
    return std::make_unique<Plugin>(type_.make(given), phase).release();
  });
}

char const* Creator::getPluginVersion() const noexcept {
  return kVersion;
}

char const* Creator::getPluginNamespace() const noexcept {
  return kNamespace;
}

}  // namespace tensorrt_node::tensorrt::plugins
