// A head's vector of keys or values as pages hold it (kernels/cache_format.h), element by element.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "element.h"
#include "kernels/cache_format.h"
#include "references.h"

namespace simulator::kernels {

inline float decodedFloat8(std::uint8_t code) {
  const int exponent = code >> 4 & 7;
  const float fraction = static_cast<float>(code & 15) / 16;
  const float magnitude = exponent == 0 ? std::ldexp(fraction, -2) : std::ldexp(1 + fraction, exponent - 3);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

// Of at most the largest number of E3M4, to the nearest, ties to even.
inline std::uint8_t encodedFloat8(float x) {
  const float magnitude = std::abs(x);
  const int exponent = std::max(magnitude == 0 ? -2 : std::ilogb(magnitude), -2);
  // Of 16 in the power of two, or below the first one.
  const int steps = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 4 - exponent)));
  return static_cast<std::uint8_t>((std::signbit(x) ? 0x80 : 0) + ((exponent + 2) << 4) + steps);
}

// Where the vector of a token of a head is, in a layer's pages of keys, or of values.
class CachedVector {
 public:
  CachedVector(const AttentionParameters& p, int side, std::int32_t slot, std::int32_t token, std::int32_t head)
      : type_(p.cacheType), size_(at(p.headSize)) {
    const std::int32_t page = p.pages[at(slot) * at(p.pagesPerSlot) + at(token / p.pageSize)];
    const std::size_t inPage = at(token % p.pageSize);
    auto* bytes = reinterpret_cast<std::uint8_t*>(p.cache[side]) +
                  at(page) * cachePageBytes(type_, p.kvHeads, p.pageSize, p.headSize);
    if (type_ == CacheType::plain) {
      elements_ = bytes + (at(head) * at(p.pageSize) + inPage) * size_ * 2;
      return;
    }
    bytes += at(head) * codedHeadBytes(p.pageSize, p.headSize);
    elements_ = bytes + inPage * size_;
    scale_ = bytes + at(p.pageSize) * size_ + inPage * sizeof(float);
  }

  template <typename Element>
  std::vector<float> read() const {
    std::vector<float> x(size_);
    for (std::size_t i = 0; i < size_; ++i)
      x[i] = type_ == CacheType::plain ? load<Element>(elements_, i) : decoded(elements_[i]) * scale();
    return x;
  }

  template <typename Element>
  void write(const std::vector<float>& x) const {
    if (type_ == CacheType::plain) {
      for (std::size_t i = 0; i < size_; ++i) store<Element>(elements_, i, x[i]);
      return;
    }
    float most = leastMagnitude;
    for (const float each : x) most = std::max(most, std::abs(each));
    const float largest = type_ == CacheType::int8 ? int8Largest : float8Largest;
    const float scale = most / largest;
    std::memcpy(scale_, &scale, sizeof scale);
    for (std::size_t i = 0; i < size_; ++i) elements_[i] = encoded(x[i] * (largest / most));
  }

 private:
  float scale() const {
    float scale = 0;
    std::memcpy(&scale, scale_, sizeof scale);
    return scale;
  }
  float decoded(std::uint8_t code) const {
    return type_ == CacheType::int8 ? static_cast<float>(static_cast<std::int8_t>(code)) : decodedFloat8(code);
  }
  std::uint8_t encoded(float x) const {
    return type_ == CacheType::int8 ? static_cast<std::uint8_t>(static_cast<int>(std::nearbyint(x))) : encodedFloat8(x);
  }

  CacheType type_;
  std::size_t size_;
  std::uint8_t* elements_;
  std::uint8_t* scale_ = nullptr;
};

}  // namespace simulator::kernels
