#include "plugin_registry.h"

#include <cstring>
#include <memory>
#include <string_view>

namespace simulated_tensorrt {

namespace {

nvinfer1::IPluginCreatorV3One* asV3(nvinfer1::IPluginCreatorInterface* creator) {
  if (std::strcmp(creator->getInterfaceInfo().kind, "PLUGIN CREATOR_V3ONE") != 0) return nullptr;
  return static_cast<nvinfer1::IPluginCreatorV3One*>(creator);
}

}  // namespace

PluginRegistry& PluginRegistry::instance() {
  // Never destroyed: programs may call it until the very end.
  static PluginRegistry& registry = *std::make_unique<PluginRegistry>().release();
  return registry;
}

nvinfer1::IPluginCreatorV3One* PluginRegistry::find(const std::string& name, const std::string& version,
                                                    const std::string& space) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < creators_.size(); ++i) {
    nvinfer1::IPluginCreatorV3One* const creator = asV3(creators_[i]);
    if (creator != nullptr && creator->getPluginName() == name && creator->getPluginVersion() == version &&
        spaces_[i] == space)
      return creator;
  }
  return nullptr;
}

bool PluginRegistry::registerCreator(nvinfer1::IPluginCreatorInterface& creator, char const* space) noexcept {
  nvinfer1::IPluginCreatorV3One* const wanted = asV3(&creator);
  if (wanted == nullptr || space == nullptr) return false;
  if (find(wanted->getPluginName(), wanted->getPluginVersion(), space) != nullptr) return false;
  const std::lock_guard lock(mutex_);
  creators_.push_back(&creator);
  spaces_.emplace_back(space);
  return true;
}

bool PluginRegistry::deregisterCreator(nvinfer1::IPluginCreatorInterface const& creator) noexcept {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < creators_.size(); ++i) {
    if (creators_[i] != &creator) continue;
    creators_.erase(creators_.begin() + static_cast<std::ptrdiff_t>(i));
    spaces_.erase(spaces_.begin() + static_cast<std::ptrdiff_t>(i));
    return true;
  }
  return false;
}

nvinfer1::IPluginCreatorInterface* PluginRegistry::getCreator(char const* name, char const* version,
                                                              char const* space) noexcept {
  return find(name, version, space);
}

nvinfer1::IPluginCreatorInterface* const* PluginRegistry::getAllCreators(int32_t* count) const noexcept {
  const std::lock_guard lock(mutex_);
  if (count != nullptr) *count = static_cast<int32_t>(creators_.size());
  return creators_.empty() ? nullptr : creators_.data();
}

}  // namespace simulated_tensorrt

extern "C" nvinfer1::IPluginRegistry* getPluginRegistry() noexcept {
  return &simulated_tensorrt::PluginRegistry::instance();
}
