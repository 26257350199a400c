// IBuilderConfig.
#pragma once

#include <NvInfer.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "not_simulated.h"
#include "profile.h"
#include "timing_cache.h"

namespace simulated_tensorrt {

#define INTERFACE "IBuilderConfig"
class Config final : public nvinfer1::IBuilderConfig, public nvinfer1::apiv::VBuilderConfig {
 public:
  explicit Config(nvinfer1::ILogger& logger) : logger_(logger) { mImpl = this; }

  const std::vector<const Profile*>& profiles() const { return profiles_; }
  const Profile* calibrationProfile() const { return calibrationProfile_; }
  // Null when the user attached none.
  TimingCache* timingCache() const { return timingCache_; }

  void setAvgTimingIterations(int32_t count) noexcept override { averageTiming_ = count; }
  int32_t getAvgTimingIterations() const noexcept override { return averageTiming_; }
  void setInt8Calibrator(nvinfer1::IInt8Calibrator* calibrator) noexcept override { calibrator_ = calibrator; }
  nvinfer1::IInt8Calibrator* getInt8Calibrator() const noexcept override { return calibrator_; }
  void setFlags(nvinfer1::BuilderFlags flags) noexcept override { flags_ = flags; }
  nvinfer1::BuilderFlags getFlags() const noexcept override { return flags_; }
  void clearFlag(nvinfer1::BuilderFlag flag) noexcept override { flags_ &= ~(1U << static_cast<int>(flag)); }
  void setFlag(nvinfer1::BuilderFlag flag) noexcept override { flags_ |= 1U << static_cast<int>(flag); }
  bool getFlag(nvinfer1::BuilderFlag flag) const noexcept override {
    return (flags_ >> static_cast<int>(flag) & 1) != 0;
  }
  void setProfileStream(const cudaStream_t stream) noexcept override { stream_ = stream; }
  cudaStream_t getProfileStream() const noexcept override { return stream_; }
  int32_t addOptimizationProfile(nvinfer1::IOptimizationProfile const* profile) noexcept override;
  int32_t getNbOptimizationProfiles() const noexcept override { return static_cast<int32_t>(profiles_.size()); }
  void setProfilingVerbosity(nvinfer1::ProfilingVerbosity verbosity) noexcept override { verbosity_ = verbosity; }
  nvinfer1::ProfilingVerbosity getProfilingVerbosity() const noexcept override { return verbosity_; }
  bool setCalibrationProfile(nvinfer1::IOptimizationProfile const* profile) noexcept override;
  nvinfer1::IOptimizationProfile const* getCalibrationProfile() noexcept override { return calibrationProfile_; }
  bool setTacticSources(nvinfer1::TacticSources sources) noexcept override;
  nvinfer1::TacticSources getTacticSources() const noexcept override { return tacticSources_; }
  nvinfer1::ITimingCache* createTimingCache(void const* blob, std::size_t size) const noexcept override;
  bool setTimingCache(nvinfer1::ITimingCache const& cache, bool ignoreMismatch) noexcept override;
  nvinfer1::ITimingCache const* getTimingCache() const noexcept override { return timingCache_; }
  void setMemoryPoolLimit(nvinfer1::MemoryPoolType pool, std::size_t bytes) noexcept override { pools_[pool] = bytes; }
  std::size_t getMemoryPoolLimit(nvinfer1::MemoryPoolType pool) const noexcept override;
  void setPreviewFeature(nvinfer1::PreviewFeature, bool) noexcept override {}
  bool getPreviewFeature(nvinfer1::PreviewFeature) const noexcept override { return false; }
  void setBuilderOptimizationLevel(int32_t level) noexcept override { optimizationLevel_ = level; }
  int32_t getBuilderOptimizationLevel() const noexcept override { return optimizationLevel_; }
  void setHardwareCompatibilityLevel(nvinfer1::HardwareCompatibilityLevel level) noexcept override {
    compatibility_ = level;
  }
  nvinfer1::HardwareCompatibilityLevel getHardwareCompatibilityLevel() const noexcept override {
    return compatibility_;
  }
  void setMaxAuxStreams(int32_t count) noexcept override { auxStreams_ = count; }
  int32_t getMaxAuxStreams() const noexcept override { return auxStreams_; }
  void setProgressMonitor(nvinfer1::IProgressMonitor* monitor) noexcept override { monitor_ = monitor; }
  nvinfer1::IProgressMonitor* getProgressMonitor() const noexcept override { return monitor_; }
  void setMaxNbTactics(int32_t count) noexcept override { maxTactics_ = count; }
  int32_t getMaxNbTactics() const noexcept override { return maxTactics_; }
  bool setTilingOptimizationLevel(nvinfer1::TilingOptimizationLevel level) noexcept override;
  nvinfer1::TilingOptimizationLevel getTilingOptimizationLevel() const noexcept override;

  NOT_SIMULATED(void, setEngineCapability, (nvinfer1::EngineCapability), )
  NOT_SIMULATED(nvinfer1::EngineCapability, getEngineCapability, (), const)
  NOT_SIMULATED(void, setDeviceType, (nvinfer1::ILayer const*, nvinfer1::DeviceType), )
  NOT_SIMULATED(nvinfer1::DeviceType, getDeviceType, (nvinfer1::ILayer const*), const)
  NOT_SIMULATED(bool, isDeviceTypeSet, (nvinfer1::ILayer const*), const)
  NOT_SIMULATED(void, resetDeviceType, (nvinfer1::ILayer const*), )
  NOT_SIMULATED(bool, canRunOnDLA, (nvinfer1::ILayer const*), const)
  NOT_SIMULATED(void, setDLACore, (int32_t), )
  NOT_SIMULATED(int32_t, getDLACore, (), const)
  NOT_SIMULATED(void, setDefaultDeviceType, (nvinfer1::DeviceType), )
  NOT_SIMULATED(nvinfer1::DeviceType, getDefaultDeviceType, (), const)
  NOT_SIMULATED(void, reset, (), )
  NOT_SIMULATED(void, setAlgorithmSelector, (nvinfer1::IAlgorithmSelector*), )
  NOT_SIMULATED(nvinfer1::IAlgorithmSelector*, getAlgorithmSelector, (), const)
  NOT_SIMULATED(void, setQuantizationFlags, (nvinfer1::QuantizationFlags), )
  NOT_SIMULATED(nvinfer1::QuantizationFlags, getQuantizationFlags, (), const)
  NOT_SIMULATED(void, clearQuantizationFlag, (nvinfer1::QuantizationFlag), )
  NOT_SIMULATED(void, setQuantizationFlag, (nvinfer1::QuantizationFlag), )
  NOT_SIMULATED(bool, getQuantizationFlag, (nvinfer1::QuantizationFlag), const)
  NOT_SIMULATED(void, setPluginsToSerialize, (char const* const*, int32_t), )
  NOT_SIMULATED(char const*, getPluginToSerialize, (int32_t), const)
  NOT_SIMULATED(int32_t, getNbPluginsToSerialize, (), const)
  NOT_SIMULATED(void, setRuntimePlatform, (nvinfer1::RuntimePlatform), )
  NOT_SIMULATED(nvinfer1::RuntimePlatform, getRuntimePlatform, (), const)
  NOT_SIMULATED(bool, setL2LimitForTiling, (int64_t), )
  NOT_SIMULATED(int64_t, getL2LimitForTiling, (), const)
  NOT_SIMULATED(bool, setRemoteAutoTuningConfig, (char const*), )
  NOT_SIMULATED(char const*, getRemoteAutoTuningConfig, (), const)

 private:
  nvinfer1::ILogger& logger_;
  int32_t averageTiming_ = 1;
  nvinfer1::IInt8Calibrator* calibrator_ = nullptr;
  // TF32 is on by default, as in TensorRT.
  nvinfer1::BuilderFlags flags_ = 1U << static_cast<int>(nvinfer1::BuilderFlag::kTF32);
  cudaStream_t stream_ = nullptr;
  std::vector<const Profile*> profiles_;
  const Profile* calibrationProfile_ = nullptr;
  nvinfer1::ProfilingVerbosity verbosity_ = nvinfer1::ProfilingVerbosity::kLAYER_NAMES_ONLY;
  nvinfer1::TacticSources tacticSources_ = 0x18;
  TimingCache* timingCache_ = nullptr;
  std::map<nvinfer1::MemoryPoolType, std::size_t> pools_;
  int32_t optimizationLevel_ = 3;
  nvinfer1::HardwareCompatibilityLevel compatibility_ = nvinfer1::HardwareCompatibilityLevel::kNONE;
  int32_t auxStreams_ = -1;
  nvinfer1::IProgressMonitor* monitor_ = nullptr;
  int32_t maxTactics_ = -1;
  nvinfer1::TilingOptimizationLevel tiling_ = nvinfer1::TilingOptimizationLevel::kNONE;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
