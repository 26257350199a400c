// Float types of files, to float32 and back.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace tensorrt_node::quantize {

enum class FloatType { float32, float16, bfloat16 };

constexpr std::size_t bytesOf(FloatType type) noexcept {
  return type == FloatType::float32 ? 4 : 2;
}

inline float fromHalf(std::uint16_t bits) noexcept {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t rest = (bits & 0x7fffU) << 13;
  // The exponent moves to float32's bias, which also makes normal numbers of subnormal ones; the highest is for
  // infinities and NaN.
  const float magnitude =
      (bits & 0x7c00U) == 0x7c00U ? std::bit_cast<float>(rest | 0x7f800000U) : std::bit_cast<float>(rest) * 0x1p112F;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
}

// To the nearest, ties to even; infinite from 65520 on.
inline std::uint16_t toHalf(float value) noexcept {
  const auto word = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(word >> 16 & 0x8000U);
  const std::uint32_t magnitude = word & 0x7fffffffU;
  if (magnitude >= 0x47800000U) return static_cast<std::uint16_t>(sign | (magnitude > 0x7f800000U ? 0x7e00U : 0x7c00U));
  if (magnitude < 0x38800000U) {
    // Below the normal halves the unit is 2^-24, which float32's own rounding gives at this magnitude.
    const float units = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(units) - 0x3f000000U));
  }
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000U + 0xfffU + (magnitude >> 13 & 1U)) >> 13));
}

inline float fromBfloat(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// E4M3 of ONNX's FLOAT8E4M3FN: no infinities, the largest is 448.
inline float fromFloat8(std::uint8_t bits) noexcept {
  const int exponent = bits >> 3 & 15;
  const int mantissa = bits & 7;
  if ((bits & 0x7f) == 0x7f) return std::bit_cast<float>(0x7fc00000U);
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                        : std::ldexp(static_cast<float>(mantissa + 8), exponent - 10);
  return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

// To the nearest, ties to even; what is beyond 448 becomes 448.
inline std::uint8_t toFloat8(float value) noexcept {
  const auto word = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint8_t>(word >> 24 & 0x80U);
  const std::uint32_t magnitude = word & 0x7fffffffU;
  if (magnitude >= 0x43e00000U) return static_cast<std::uint8_t>(sign | 0x7eU);
  if (magnitude < 0x3c800000U) {
    // Below 2^-6 the unit is 2^-9: that of float32 at 2^14.
    const float units = std::bit_cast<float>(magnitude) + 0x1p14F;
    return static_cast<std::uint8_t>(sign | (std::bit_cast<std::uint32_t>(units) - 0x46800000U));
  }
  const std::uint32_t bits = (magnitude - 0x3c000000U + 0x7ffffU + (magnitude >> 20 & 1U)) >> 20;
  return static_cast<std::uint8_t>(sign | (bits > 0x7eU ? 0x7eU : bits));
}

}  // namespace tensorrt_node::quantize
