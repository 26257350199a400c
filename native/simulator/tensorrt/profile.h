// IOptimizationProfile.
#pragma once

#include <NvInferRuntime.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "not_simulated.h"
#include "tensor_data.h"

namespace simulated_tensorrt {

// Indexed by OptProfileSelector. Empty where not set.
using Range = std::array<Shape, 3>;

struct Ranges {
  std::map<std::string, Range> shapes;
  std::map<std::string, Range> values;
};

// The range, if all three are set and in order; `named` says what it is of in `problem`.
bool isValid(const Range& range, const std::string& named, std::string& problem);

#define INTERFACE "IOptimizationProfile"
class Profile final : public nvinfer1::IOptimizationProfile, public nvinfer1::apiv::VOptimizationProfile {
 public:
  Profile() { mImpl = this; }

  const Ranges& ranges() const { return ranges_; }

  bool setDimensions(char const* input, nvinfer1::OptProfileSelector select,
                     nvinfer1::Dims const& dims) noexcept override;
  nvinfer1::Dims getDimensions(char const* input, nvinfer1::OptProfileSelector select) const noexcept override;
  bool setShapeValues(char const* input, nvinfer1::OptProfileSelector select, int32_t const* values,
                      int32_t count) noexcept override;
  int32_t getNbShapeValues(char const* input) const noexcept override;
  bool isValid() const noexcept override;
  bool setShapeValuesV2(char const* input, nvinfer1::OptProfileSelector select, int64_t const* values,
                        int32_t count) noexcept override;
  bool setExtraMemoryTarget(float) noexcept override { return true; }
  float getExtraMemoryTarget() const noexcept override { return 1; }

  NOT_SIMULATED(int32_t const*, getShapeValues, (char const*, nvinfer1::OptProfileSelector), const)
  NOT_SIMULATED(int64_t const*, getShapeValuesV2, (char const*, nvinfer1::OptProfileSelector), const)

 private:
  Ranges ranges_;
};
#undef INTERFACE

}  // namespace simulated_tensorrt
