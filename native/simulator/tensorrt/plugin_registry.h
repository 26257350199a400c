// IPluginRegistry: the one of the process.
#pragma once

#include <NvInferRuntime.h>

#include <mutex>
#include <string>
#include <vector>

#include "not_simulated.h"

namespace simulated_tensorrt {

#define INTERFACE "IPluginRegistry"
class PluginRegistry final : public nvinfer1::IPluginRegistry {
 public:
  static PluginRegistry& instance();

  // Null for creators that are not there, or of plugins older than V3.
  nvinfer1::IPluginCreatorV3One* find(const std::string& name, const std::string& version, const std::string& space);

  bool registerCreator(nvinfer1::IPluginCreatorInterface& creator, char const* space) noexcept override;
  bool deregisterCreator(nvinfer1::IPluginCreatorInterface const& creator) noexcept override;
  nvinfer1::IPluginCreatorInterface* getCreator(char const* name, char const* version,
                                                char const* space) noexcept override;
  nvinfer1::IPluginCreatorInterface* const* getAllCreators(int32_t* count) const noexcept override;
  nvinfer1::IPluginCreatorInterface* const* getAllCreatorsRecursive(int32_t* count) noexcept override {
    return getAllCreators(count);
  }
  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }
  bool isParentSearchEnabled() const override { return true; }
  void setParentSearchEnabled(bool) override {}

  NOT_SIMULATED(bool, registerCreator, (nvinfer1::IPluginCreator&, char const*), )
  NOT_SIMULATED(bool, deregisterCreator, (nvinfer1::IPluginCreator const&), )
  NOT_SIMULATED(nvinfer1::IPluginCreator* const*, getPluginCreatorList, (int32_t*), const)
  NOT_SIMULATED(nvinfer1::IPluginCreator*, getPluginCreator, (char const*, char const*, char const*), )
  NOT_SIMULATED(PluginLibraryHandle, loadLibrary, (char const*), )
  NOT_SIMULATED(void, deregisterLibrary, (PluginLibraryHandle), )
  NOT_SIMULATED(nvinfer1::IPluginResource*, acquirePluginResource, (char const*, nvinfer1::IPluginResource*), )
  NOT_SIMULATED(int32_t, releasePluginResource, (char const*), )

 private:
  mutable std::mutex mutex_;
  std::vector<nvinfer1::IPluginCreatorInterface*> creators_;
  // Under which each of them was registered.
  std::vector<std::string> spaces_;
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
