// Keys and values as pages hold them (cache_format.h), and how they become operands of the tensor cores: a pair of
// 16-bit elements is made of two codes in registers, exactly but for a power of two that scales make up for.
#pragma once

#include "../cache_format.h"
#include "element.cuh"
#include "reduce.cuh"

namespace tensorrt_node::kernels {

// Of a lane's four tokens of 16, those of columns 2t, 2t + 1, 2t + 8 and 2t + 9, keys and values.
struct TokenScales {
  float keys[2][2];
  float values[2][2];
};
struct NoScales {};

// As they are computed with.
template <typename T>
struct PlainCodes {
  using Operand = T;
  // In pages.
  using Element = T;
  // Eight elements.
  using Vector = uint4;
  using Scales = NoScales;
  static constexpr bool scaled = false;

  __device__ static Vector zeros() { return make_uint4(0, 0, 0, 0); }
  __device__ static Vector load(const Element* from) { return *reinterpret_cast<const uint4*>(from); }
  __device__ static Vector loadPast(const Element* from, bool exists) { return kernels::loadPast(from, exists); }

  // Elements 2i and 2i + 1.
  __device__ static std::uint32_t pair(const Vector& of, int i) {
    return i == 0 ? of.x : i == 1 ? of.y : i == 2 ? of.z : of.w;
  }
  // Element j of two vectors.
  __device__ static std::uint32_t column(const Vector& first, const Vector& second, int j) {
    return j % 2 == 0 ? __byte_perm(pair(first, j / 2), pair(second, j / 2), 0x5410)
                      : __byte_perm(pair(first, j / 2), pair(second, j / 2), 0x7632);
  }
};

// Codes of 8 bits. Made says how a register with a byte in each half, the upper one of the half where `place` is 1,
// becomes a pair: pair(bytes); and encode(x): the code of what was brought to -largest .. largest. The elements that it
// makes are codes / (weightUnit * sumUnit): scores make up for both, a weight for one of them before it is rounded, so
// that it stays a normal number, and the sums for the other.
template <typename T, typename Made>
struct ScaledCodes : Made {
  using Operand = T;
  using Element = std::uint8_t;
  using Vector = uint2;
  using Scales = TokenScales;
  static constexpr bool scaled = true;

  __device__ static Vector zeros() { return make_uint2(0, 0); }
  __device__ static Vector load(const Element* from) { return *reinterpret_cast<const uint2*>(from); }
  __device__ static Vector loadPast(const Element* from, bool exists) { return loadPast8(from, exists); }

  __device__ static std::uint32_t pair(const Vector& of, int i) {
    const std::uint32_t word = i < 2 ? of.x : of.y;
    return together(word, i % 2 * 2, word, i % 2 * 2 + 1);
  }
  __device__ static std::uint32_t column(const Vector& first, const Vector& second, int j) {
    return together(j < 4 ? first.x : first.y, j % 4, j < 4 ? second.x : second.y, j % 4);
  }

 private:
  // Of byte i of a register and byte j of another.
  __device__ static std::uint32_t together(std::uint32_t a, int i, std::uint32_t b, int j) {
    const unsigned low = static_cast<unsigned>(i) << 4 * Made::place;
    const unsigned high = static_cast<unsigned>(4 + j) << 4 * (Made::place + 2);
    return Made::pair(__byte_perm(a, b, low | high));
  }
};

// Integers in two's complement.
struct Int8Half {
  static constexpr float largest = int8Largest;
  static constexpr float weightUnit = 64;
  static constexpr float sumUnit = 1;
  static constexpr int place = 0;

  // 1024 + (code + 128) has the code's bits at its end.
  __device__ static std::uint32_t pair(std::uint32_t bytes) {
    return multiplyAddPair((bytes & 0x00FF00FFU) ^ 0x64806480U, 0x24002400U, 0xCC80CC80U, __half());
  }
  __device__ static std::uint32_t encode(float x) { return static_cast<std::uint32_t>(__float2int_rn(x)) & 255; }
};

struct Int8Bfloat {
  static constexpr float largest = int8Largest;
  static constexpr float weightUnit = 1;
  static constexpr float sumUnit = 1;
  static constexpr int place = 0;

  // 128 + the low seven bits, less 128 or, where the sign is set, 256.
  __device__ static std::uint32_t pair(std::uint32_t bytes) {
    const std::uint32_t low = (bytes & 0x007F007FU) | 0x43004300U;
    const std::uint32_t sign = (bytes & 0x00800080U) | 0x43004300U;
    return multiplyAddPair(sign, 0xBF80BF80U, low, __nv_bfloat16());
  }
  __device__ static std::uint32_t encode(float x) { return Int8Half::encode(x); }
};

// Sign, three bits of exponent, four of fraction: they only change their places, and with that the exponent its bias.
struct Float8Half {
  static constexpr float largest = float8Largest;
  static constexpr float weightUnit = 8;
  static constexpr float sumUnit = 512;
  static constexpr int place = 1;

  __device__ static std::uint32_t pair(std::uint32_t bytes) {
    return (bytes & 0x80008000U) | (bytes >> 2 & 0x1FC01FC0U);
  }
  // Of subnormal numbers the code is the multiple of 2^-6, and the one after the last is the first normal one.
  __device__ static std::uint32_t encode(float x) {
    const std::uint32_t bits = __float_as_uint(x);
    const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
    constexpr std::uint32_t firstNormal = (127 - 2) << 23;
    const std::uint32_t code = magnitude < firstNormal
                                   ? static_cast<std::uint32_t>(__float2int_rn(__uint_as_float(magnitude) * 64))
                                   : ((magnitude + 0x3FFFFU + (magnitude >> 19 & 1)) >> 19) - ((127 - 3) << 4);
    // An infinity for what never comes.
    return (bits >> 24 & 0x80) | (code < 0x70 ? code : 0x70);
  }
};

struct Float8Bfloat {
  static constexpr float largest = float8Largest;
  static constexpr float weightUnit = 1;
  static constexpr float sumUnit = 1;
  static constexpr int place = 1;

  // A product with 2^124 brings the bias from 127 to 3.
  __device__ static std::uint32_t pair(std::uint32_t bytes) {
    const std::uint32_t moved = (bytes & 0x80008000U) | (bytes >> 5 & 0x03F803F8U);
    return multiplyAddPair(moved, 0x7D807D80U, 0x80008000U, __nv_bfloat16());
  }
  __device__ static std::uint32_t encode(float x) { return Float8Half::encode(x); }
};

template <typename T>
struct Int8Codes;
template <>
struct Int8Codes<__half> : ScaledCodes<__half, Int8Half> {};
template <>
struct Int8Codes<__nv_bfloat16> : ScaledCodes<__nv_bfloat16, Int8Bfloat> {};
template <typename T>
struct Float8Codes;
template <>
struct Float8Codes<__half> : ScaledCodes<__half, Float8Half> {};
template <>
struct Float8Codes<__nv_bfloat16> : ScaledCodes<__nv_bfloat16, Float8Bfloat> {};

// Of a vector that a warp has: each lane the largest magnitude of its elements.
struct VectorScale {
  float scale;
  float inverse;

  template <typename Codes>
  __device__ static VectorScale of(float most) {
    most = fmaxf(reduceWarp(most, Largest()), leastMagnitude);
    return {most / Codes::largest, Codes::largest / most};
  }
};

}  // namespace tensorrt_node::kernels
