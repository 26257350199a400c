// The scale of one block, and the codes that it gives.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "format.h"

namespace tensorrt_node::quantize {

// A value is (code - zero) * scale; of float8 it is the code's number times the scale.
struct Scale {
  float value = 0;
  std::int32_t zero = 0;
};

// Chooses scales of blocks, one after the other; of one thread.
class ScaleChooser {
 public:
  explicit ScaleChooser(const Format& format) : format_(format) {}

  // The scale, as the file holds it, for which the sum of importance * error^2 is small; without importance all count
  // the same. Throws std::domain_error for values that are not finite, or too large for the scale's type.
  Scale choose(std::span<const float> values, std::span<const float> importance = {});

 private:
  void load(std::span<const float> values, std::span<const float> importance);
  Scale symmetric(float signedLargest);
  Scale withZeroPoint(float smallest, float largest);
  float rounded(float scale) const;

  Format format_;
  // Filled up with zeros to whole vectors.
  std::vector<float> values_;
  std::vector<float> importance_;
  bool weighted_ = false;
};

// The code nearest to `value`; int8Rows' codes are two's complement.
std::uint8_t nearestCode(const Format& format, const Scale& scale, float value) noexcept;
// What the code stands for.
float valueOf(const Format& format, const Scale& scale, std::uint8_t code) noexcept;

}  // namespace tensorrt_node::quantize
