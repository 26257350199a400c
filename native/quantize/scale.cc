// Scales by a search over a grid, each candidate refined by least squares: what llama.cpp does for its blocks with an
// importance matrix (make_qx_quants, make_qkx2_quants), for MatMulNBits' codes.
#include "scale.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>

namespace tensorrt_node::quantize {
namespace {

constexpr std::size_t kLanes = 4;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

// Adding it and taking it away rounds to the nearest integer, ties to even.
constexpr float kRound = 12582912.0F;

// Of numbers of at most 2^22.
float nearestInteger(float value) {
  return value + kRound - kRound;
}

float sum(const Lanes& lanes) {
  return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

struct Products {
  // Sums of importance * value * code and importance * code^2, of codes less their zero.
  float valueCode = 0;
  float codeCode = 0;

  // How much of the squared values the best scale of these codes explains.
  float explained() const { return codeCode > 0 ? valueCode * valueCode / codeCode : 0; }
  float scale() const { return valueCode / codeCode; }
};

template <bool weighted>
Products products(const float* values, const float* importance, std::size_t count, float inverse, float low,
                  float high) {
  Lanes valueCode{};
  Lanes codeCode{};
  const Lanes lows = Lanes{} + low;
  const Lanes highs = Lanes{} + high;
  for (std::size_t at = 0; at < count; at += kLanes) {
    Lanes value;
    __builtin_memcpy(&value, values + at, sizeof(value));
    Lanes code = value * inverse + kRound - kRound;
    code = code < lows ? lows : code;
    code = code > highs ? highs : code;
    Lanes part = code;
    if constexpr (weighted) {
      Lanes weight;
      __builtin_memcpy(&weight, importance + at, sizeof(weight));
      part = code * weight;
    }
    valueCode += part * value;
    codeCode += part * code;
  }
  return {sum(valueCode), sum(codeCode)};
}

// Candidates give the largest value a code up to this many tenths below and above the last one.
constexpr int kSteps = 9;

}  // namespace

void ScaleChooser::load(std::span<const float> values, std::span<const float> importance) {
  const std::size_t padded = (values.size() + kLanes - 1) / kLanes * kLanes;
  values_.assign(padded, 0);
  std::copy(values.begin(), values.end(), values_.begin());
  weighted_ = !importance.empty();
  if (!weighted_) return;
  importance_.assign(padded, 0);
  std::copy(importance.begin(), importance.end(), importance_.begin());
}

Scale ScaleChooser::choose(std::span<const float> values, std::span<const float> importance) {
  float smallest = 0;
  float largest = 0;
  for (const float value : values) {
    if (!(std::fabs(value) <= std::numeric_limits<float>::max()))
      throw std::domain_error("holds a number that is not finite");
    smallest = std::min(smallest, value);
    largest = std::max(largest, value);
  }
  const float magnitude = std::max(-smallest, largest);
  const float signedLargest = -smallest > largest ? smallest : largest;
  if (format_.kind == CodeKind::int8Rows) return {rounded(magnitude / 127), 0};
  if (format_.kind == CodeKind::float8Rows) return {rounded(magnitude / 448), 0};
  load(values, importance);
  return format_.kind == CodeKind::symmetric ? symmetric(signedLargest) : withZeroPoint(smallest, largest);
}

Scale ScaleChooser::symmetric(float signedLargest) {
  const int middle = 1 << (format_.bits - 1);
  const auto half = static_cast<float>(middle);
  // The largest value gets the code that has no opposite.
  const float plain = -signedLargest / half;
  if (!format_.search || signedLargest == 0) return {rounded(plain), middle};
  Products best;
  float scale = plain;
  for (int step = -kSteps; step <= kSteps; ++step) {
    const float inverse = -(half + 0.1F * static_cast<float>(step)) / signedLargest;
    if (!std::isfinite(inverse)) continue;
    const Products found =
        weighted_ ? products<true>(values_.data(), importance_.data(), values_.size(), inverse, -half, half - 1)
                  : products<false>(values_.data(), nullptr, values_.size(), inverse, -half, half - 1);
    if (found.explained() <= best.explained()) continue;
    best = found;
    scale = found.scale();
  }
  return {rounded(scale), middle};
}

Scale ScaleChooser::withZeroPoint(float smallest, float largest) {
  const auto top = static_cast<float>((1 << format_.bits) - 1);
  const float range = largest - smallest;
  if (range == 0) return {0, 0};
  const auto zeroOf = [&](float inverse) { return std::clamp(nearestInteger(-smallest * inverse), 0.0F, top); };
  Scale chosen{range / top, static_cast<std::int32_t>(zeroOf(top / range))};
  if (format_.search) {
    Products best;
    for (int step = -kSteps; step <= kSteps; ++step) {
      const float inverse = (top + 0.1F * static_cast<float>(step)) / range;
      if (!std::isfinite(inverse)) continue;
      const float exact = -smallest * inverse;
      const float down = std::floor(exact);
      for (const float zero : {std::clamp(down, 0.0F, top), std::clamp(down + 1, 0.0F, top)}) {
        const Products found =
            weighted_ ? products<true>(values_.data(), importance_.data(), values_.size(), inverse, -zero, top - zero)
                      : products<false>(values_.data(), nullptr, values_.size(), inverse, -zero, top - zero);
        if (found.explained() <= best.explained()) continue;
        best = found;
        chosen = {found.scale(), static_cast<std::int32_t>(zero)};
      }
    }
  }
  return {rounded(chosen.value), chosen.zero};
}

float ScaleChooser::rounded(float scale) const {
  const float factor = format_.scales == FloatType::float16 ? 1 : 1024;
  const float stored = fromHalf(toHalf(scale * factor)) / factor;
  if (std::isfinite(stored)) return stored;
  if (format_.scales == FloatType::float32 && std::isfinite(scale)) return scale;
  throw std::domain_error("holds numbers too large for a scale in half precision");
}

std::uint8_t nearestCode(const Format& format, const Scale& scale, float value) noexcept {
  if (format.kind == CodeKind::float8Rows) return scale.value == 0 ? 0 : toFloat8(value / scale.value);
  const float quotient = scale.value == 0 ? 0 : value / scale.value;
  if (format.kind == CodeKind::int8Rows) {
    const auto code = static_cast<std::int32_t>(nearestInteger(std::clamp(quotient, -127.0F, 127.0F)));
    return static_cast<std::uint8_t>(static_cast<std::int8_t>(code));
  }
  const auto top = static_cast<float>((1 << format.bits) - 1);
  const auto zero = static_cast<float>(scale.zero);
  return static_cast<std::uint8_t>(nearestInteger(std::clamp(quotient, -zero, top - zero)) + zero);
}

float valueOf(const Format& format, const Scale& scale, std::uint8_t code) noexcept {
  if (format.kind == CodeKind::float8Rows) return fromFloat8(code) * scale.value;
  if (format.kind == CodeKind::int8Rows) return static_cast<float>(static_cast<std::int8_t>(code)) * scale.value;
  return static_cast<float>(static_cast<std::int32_t>(code) - scale.zero) * scale.value;
}

}  // namespace tensorrt_node::quantize
