// IBuilder.
#pragma once

#include <NvInfer.h>

#include <deque>
#include <memory>

#include "not_simulated.h"
#include "profile.h"

namespace simulated_tensorrt {

#define INTERFACE "IBuilder"
class Builder final : public nvinfer1::IBuilder, public nvinfer1::apiv::VBuilder {
 public:
  explicit Builder(nvinfer1::ILogger& logger) : logger_(logger) { mImpl = this; }

  bool platformHasFastFp16() const noexcept override { return true; }
  bool platformHasFastInt8() const noexcept override { return true; }
  bool platformHasTf32() const noexcept override { return true; }
  int32_t getMaxDLABatchSize() const noexcept override { return 0; }
  int32_t getNbDLACores() const noexcept override { return 0; }
  nvinfer1::IBuilderConfig* createBuilderConfig() noexcept override;
  nvinfer1::INetworkDefinition* createNetworkV2(nvinfer1::NetworkDefinitionCreationFlags flags) noexcept override;
  nvinfer1::IOptimizationProfile* createOptimizationProfile() noexcept override;
  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }
  void reset() noexcept override {}
  nvinfer1::IHostMemory* buildSerializedNetwork(nvinfer1::INetworkDefinition& network,
                                                nvinfer1::IBuilderConfig& config) noexcept override;
  nvinfer1::ILogger* getLogger() const noexcept override { return &logger_; }
  bool setMaxThreads(int32_t count) noexcept override {
    threads_ = count;
    return count > 0;
  }
  int32_t getMaxThreads() const noexcept override { return threads_; }

  NOT_SIMULATED(void, setGpuAllocator, (nvinfer1::IGpuAllocator*), )
  NOT_SIMULATED(bool, isNetworkSupported, (nvinfer1::INetworkDefinition const&, nvinfer1::IBuilderConfig const&), const)
  NOT_SIMULATED(nvinfer1::IPluginRegistry&, getPluginRegistry, (), )
  NOT_SIMULATED(nvinfer1::ICudaEngine*, buildEngineWithConfig,
                (nvinfer1::INetworkDefinition&, nvinfer1::IBuilderConfig&), )
  NOT_SIMULATED(bool, buildSerializedNetworkToStream,
                (nvinfer1::INetworkDefinition&, nvinfer1::IBuilderConfig&, nvinfer1::IStreamWriter&), )
  NOT_SIMULATED(nvinfer1::IHostMemory*, buildSerializedNetworkWithKernelText,
                (nvinfer1::INetworkDefinition&, nvinfer1::IBuilderConfig&, nvinfer1::IHostMemory*&), )

 private:
  nvinfer1::ILogger& logger_;
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
  int32_t threads_ = 1;
  std::deque<std::unique_ptr<Profile>> profiles_;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
