// ITimingCache: what timing each layer found.
#pragma once

#include <NvInfer.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "not_simulated.h"
#include "settings.h"

namespace simulated_tensorrt {

#define INTERFACE "ITimingCache"
class TimingCache final : public nvinfer1::ITimingCache, public nvinfer1::apiv::VTimingCache {
 public:
  TimingCache(Version version, ComputeCapability capability);
  // Null for bytes that are no timing cache. Those of another version or GPU are one all the same.
  static std::unique_ptr<TimingCache> read(std::string_view bytes);

  bool fits(Version version, ComputeCapability capability) const;
  bool has(std::uint64_t layer) const;
  void add(std::uint64_t layer, float milliseconds);

  nvinfer1::IHostMemory* serialize() const noexcept override;
  bool combine(nvinfer1::ITimingCache const& other, bool ignoreMismatch) noexcept override;
  bool reset() noexcept override;

  NOT_SIMULATED(int64_t, queryKeys, (nvinfer1::TimingCacheKey*, int64_t), const)
  NOT_SIMULATED(nvinfer1::TimingCacheValue, query, (nvinfer1::TimingCacheKey const&), const)
  NOT_SIMULATED(bool, update, (nvinfer1::TimingCacheKey const&, nvinfer1::TimingCacheValue const&), )

 private:
  const Version version_;
  const ComputeCapability capability_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, float> entries_;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
