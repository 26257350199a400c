// IRuntime.
#pragma once

#include <NvInferRuntime.h>

#include <string>

#include "not_simulated.h"

namespace simulated_tensorrt {

#define INTERFACE "IRuntime"
class Runtime final : public nvinfer1::IRuntime, public nvinfer1::apiv::VRuntime {
 public:
  explicit Runtime(nvinfer1::ILogger& logger) : logger_(logger) { mImpl = this; }

  nvinfer1::IRuntime* getPImpl() noexcept override { return this; }
  nvinfer1::ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept override;
  int32_t getNbDLACores() const noexcept override { return 0; }
  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }
  nvinfer1::ILogger* getLogger() const noexcept override { return &logger_; }
  bool setMaxThreads(int32_t count) noexcept override {
    threads_ = count;
    return count > 0;
  }
  int32_t getMaxThreads() const noexcept override { return threads_; }
  void setTemporaryDirectory(char const* folder) noexcept override { folder_ = folder; }
  char const* getTemporaryDirectory() const noexcept override { return folder_.c_str(); }
  void setEngineHostCodeAllowed(bool allowed) noexcept override { hostCode_ = allowed; }
  bool getEngineHostCodeAllowed() const noexcept override { return hostCode_; }

  NOT_SIMULATED(nvinfer1::ICudaEngine*, deserializeCudaEngine, (nvinfer1::IStreamReader&), )
  NOT_SIMULATED(void, setDLACore, (int32_t), )
  NOT_SIMULATED(int32_t, getDLACore, (), const)
  NOT_SIMULATED(void, setGpuAllocator, (nvinfer1::IGpuAllocator*), )
  NOT_SIMULATED(void, setTempfileControlFlags, (nvinfer1::TempfileControlFlags), )
  NOT_SIMULATED(nvinfer1::TempfileControlFlags, getTempfileControlFlags, (), const)
  NOT_SIMULATED(nvinfer1::IPluginRegistry&, getPluginRegistry, (), )
  NOT_SIMULATED(void, setPluginRegistryParent, (nvinfer1::IPluginRegistry*), )
  NOT_SIMULATED(nvinfer1::IRuntime*, loadRuntime, (char const*), )
  NOT_SIMULATED(nvinfer1::ICudaEngine*, deserializeCudaEngineV2, (nvinfer1::IStreamReaderV2&), )

 private:
  nvinfer1::ILogger& logger_;
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
  int32_t threads_ = 1;
  std::string folder_;
  bool hostCode_ = false;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
