#include "config.h"

#include "device.h"
#include "log.h"

namespace simulated_tensorrt {

int32_t Config::addOptimizationProfile(nvinfer1::IOptimizationProfile const* profile) noexcept {
  const auto* added = static_cast<const Profile*>(profile);
  if (added == nullptr || !added->isValid()) {
    usageError(logger_, "IBuilderConfig::addOptimizationProfile",
               "Parameter check failed, condition: profile->isValid(). The profile is not valid.");
    return -1;
  }
  profiles_.push_back(added);
  return static_cast<int32_t>(profiles_.size()) - 1;
}

bool Config::setCalibrationProfile(nvinfer1::IOptimizationProfile const* profile) noexcept {
  const auto* wanted = static_cast<const Profile*>(profile);
  if (wanted == nullptr || !wanted->isValid()) return false;
  calibrationProfile_ = wanted;
  return true;
}

bool Config::setTacticSources(nvinfer1::TacticSources sources) noexcept {
  constexpr nvinfer1::TacticSources all = 0x1F;
  if ((sources & ~all) != 0) return false;
  tacticSources_ = sources;
  return true;
}

nvinfer1::ITimingCache* Config::createTimingCache(void const* blob, std::size_t size) const noexcept {
  if (blob == nullptr || size == 0)
    return std::make_unique<TimingCache>(settings().version, computeCapability()).release();
  auto cache = TimingCache::read({static_cast<const char*>(blob), size});
  if (cache == nullptr)
    error(logger_, "IBuilderConfig::createTimingCache", 1, "Serialization",
          "Serialization assertion magicTagRead == kTIMING_CACHE_MAGIC_TAG failed. The timing cache is damaged.");
  return cache.release();
}

bool Config::setTimingCache(nvinfer1::ITimingCache const& cache, bool ignoreMismatch) noexcept {
  auto& wanted = const_cast<TimingCache&>(static_cast<const TimingCache&>(cache));
  if (!ignoreMismatch && !wanted.fits(settings().version, computeCapability())) {
    usageError(logger_, "IBuilderConfig::setTimingCache",
               "The timing cache was made by another version of TensorRT or on another device.");
    return false;
  }
  timingCache_ = &wanted;
  return true;
}

std::size_t Config::getMemoryPoolLimit(nvinfer1::MemoryPoolType pool) const noexcept {
  const auto found = pools_.find(pool);
  return found == pools_.end() ? std::size_t{1} << 30 : found->second;
}

bool Config::setTilingOptimizationLevel(nvinfer1::TilingOptimizationLevel level) noexcept {
  since(8, "IBuilderConfig", "setTilingOptimizationLevel");
  tiling_ = level;
  return true;
}

nvinfer1::TilingOptimizationLevel Config::getTilingOptimizationLevel() const noexcept {
  since(8, "IBuilderConfig", "getTilingOptimizationLevel");
  return tiling_;
}

}  // namespace simulated_tensorrt
