// Elements of 16 bits as single precision and back, rounded to the nearest, ties to even.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace simulator::kernels {

struct Half {
  std::uint16_t bits;

  float value() const noexcept {
    const int exponent = bits >> 10 & 31;
    const int fraction = bits & 1023;
    float magnitude = 0;
    if (exponent == 31)
      magnitude = fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
    else if (exponent == 0)
      magnitude = std::ldexp(static_cast<float>(fraction), -24);
    else
      magnitude = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
  }

  static Half of(float value) noexcept {
    const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
    const auto with = [&](int rest) { return Half{static_cast<std::uint16_t>(sign | rest)}; };
    if (value == 0) return with(0);
    if (std::isnan(value)) return with(0x7E00);
    const float magnitude = std::abs(value);
    // Half way between the largest number and the one that would follow.
    if (magnitude >= 65520) return with(0x7C00);
    int exponent = 0;
    std::frexp(magnitude, &exponent);
    const int step = exponent - 11 < -24 ? -24 : exponent - 11;
    const int multiple = static_cast<int>(std::nearbyint(std::ldexp(magnitude, -step)));
    // A carry into the exponent is the right sum by itself.
    return with(step == -24 ? multiple : ((step + 24) << 10) + multiple);
  }
};

struct Bfloat {
  std::uint16_t bits;

  float value() const noexcept { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

  static Bfloat of(float value) noexcept {
    const auto all = std::bit_cast<std::uint32_t>(value);
    if (std::isnan(value)) return {static_cast<std::uint16_t>(all >> 16 | 0x40)};
    return {static_cast<std::uint16_t>((all + 0x7FFF + (all >> 16 & 1)) >> 16)};
  }
};

template <typename Element>
float load(const void* from, std::size_t index) noexcept {
  return static_cast<const Element*>(from)[index].value();
}
template <typename Element>
void store(void* to, std::size_t index, float value) noexcept {
  static_cast<Element*>(to)[index] = Element::of(value);
}
template <typename Element>
float round(float value) noexcept {
  return Element::of(value).value();
}

inline std::size_t at(std::int32_t index) noexcept {
  return static_cast<std::size_t>(index);
}

}  // namespace simulator::kernels
