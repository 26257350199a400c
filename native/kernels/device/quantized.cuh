// Packed weights (quantized_format.h) in registers: codes become pairs of elements for the tensor cores.
#pragma once

#include "../parameters.h"
#include "element.cuh"

namespace tensorrt_node::kernels {

// Eight elements of a row that follow each other.
struct Pairs {
  std::uint32_t pair[4];
};

// Codes of a type as elements of another, less an integer. `scaling` is what is left to multiply with.
template <typename T, CodeType codes>
struct Codes;

// 1024 and a code, in its low bits: an integer of half precision. A 32nd of it, so that weights in thousands have room
// once they are multiplied with packed scales.
template <>
struct Codes<__half, CodeType::uint4> {
  static constexpr float scaling = 32;
  static constexpr int words = 1;
  struct Offset {
    std::uint32_t low;
    std::uint32_t high;
  };

  // -(1024 + z) / 32, and -(64 + z) / 32 for the codes in high bits, which are 16 times what they say.
  __device__ static Offset offsetOf(std::uint32_t z) {
    return {0xD000D000 + z * 0x00010001, 0xC000C000 + z * 0x00100010};
  }
  __device__ static Pairs decode(const std::uint32_t* word, Offset offset) {
    const std::uint32_t low = *word;
    const std::uint32_t high = low >> 8;
    constexpr std::uint32_t ofLow = 0x28002800;
    constexpr std::uint32_t ofHigh = 0x18001800;
    return {{multiplyAddPair(maskedWith(low, 0x000F000F, 0x64006400), ofLow, offset.low, __half()),
             multiplyAddPair(maskedWith(low, 0x00F000F0, 0x64006400), ofHigh, offset.high, __half()),
             multiplyAddPair(maskedWith(high, 0x000F000F, 0x64006400), ofLow, offset.low, __half()),
             multiplyAddPair(maskedWith(high, 0x00F000F0, 0x64006400), ofHigh, offset.high, __half())}};
  }
};

// 128 and a code: an integer of bfloat16.
template <>
struct Codes<__nv_bfloat16, CodeType::uint4> {
  static constexpr float scaling = 1;
  static constexpr int words = 1;
  using Offset = std::uint32_t;

  __device__ static Offset offsetOf(std::uint32_t z) { return 0xC300C300 + z * 0x00010001; }
  __device__ static Pairs decode(const std::uint32_t* word, Offset offset) {
    Pairs pairs;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      pairs.pair[i] =
          multiplyAddPair(maskedWith(*word >> (4 * i), 0x000F000F, 0x43004300), 0x3F803F80, offset, __nv_bfloat16());
    return pairs;
  }
};

template <>
struct Codes<__half, CodeType::uint8> {
  static constexpr float scaling = 32;
  static constexpr int words = 2;
  using Offset = std::uint32_t;

  __device__ static Offset offsetOf(std::uint32_t z) { return 0xD000D000 + z * 0x00010001; }
  __device__ static Pairs decode(const std::uint32_t* word, Offset offset) {
    Pairs pairs;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      pairs.pair[i] =
          multiplyAddPair(maskedWith(word[i / 2] >> (i % 2 * 8), 0x00FF00FF, 0x64006400), 0x28002800, offset, __half());
    return pairs;
  }
};

// Codes of eight bits less one of the same are exact in bfloat16, but not while 128 is in them: by way of single
// precision, 2^23 and a code.
template <>
struct Codes<__nv_bfloat16, CodeType::uint8> {
  static constexpr float scaling = 1;
  static constexpr int words = 2;
  using Offset = float;

  __device__ static Offset offsetOf(std::uint32_t z) { return __uint_as_float(0xCB000000 | z); }
  __device__ static Pairs decode(const std::uint32_t* word, Offset offset) {
    Pairs pairs;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const auto at = [&](unsigned byte) {
        return __float_as_uint(__uint_as_float(__byte_perm(word[i / 2], 0x4B000000, 0x7440 | byte)) + offset);
      };
      pairs.pair[i] = __byte_perm(at(i % 2), at(i % 2 + 2), 0x7632);
    }
    return pairs;
  }
};

// The same bits with a longer exponent, which is 8 less than it should be.
template <>
struct Codes<__half, CodeType::float8> {
  static constexpr float scaling = 256;
  static constexpr int words = 2;
  struct Offset {};

  __device__ static Offset offsetOf(std::uint32_t) { return {}; }
  __device__ static Pairs decode(const std::uint32_t* word, Offset) {
    Pairs pairs;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t bytes = i % 2 == 0 ? word[i / 2] << 8 : word[i / 2];
      pairs.pair[i] = maskedWith(bytes >> 1, 0x3F803F80, bytes & 0x80008000);
    }
    return pairs;
  }
};

// Here by 120, which is put right at once: the smallest would be none for the tensor cores.
template <>
struct Codes<__nv_bfloat16, CodeType::float8> {
  static constexpr float scaling = 1;
  static constexpr int words = 2;
  struct Offset {};

  __device__ static Offset offsetOf(std::uint32_t) { return {}; }
  __device__ static Pairs decode(const std::uint32_t* word, Offset) {
    Pairs pairs;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t bytes = i % 2 == 0 ? word[i / 2] << 8 : word[i / 2];
      // Times 2^120, and less nothing.
      pairs.pair[i] = multiplyAddPair(maskedWith(bytes >> 4, 0x07F007F0, bytes & 0x80008000), 0x7B807B80, 0x80008000,
                                      __nv_bfloat16());
    }
    return pairs;
  }
};

// What is taken off where a format does not say it, and where offsets are added instead.
template <CodeType codes, Offsets offsets>
constexpr std::uint32_t fixedOffset = offsets == Offsets::floating ? 0
                                      : codes == CodeType::uint4   ? 8
                                                                   : 128;

__device__ inline float2 toFloats(std::uint32_t halves) {
  union {
    std::uint32_t bits;
    __half h[2];
  } pair;
  pair.bits = halves;
  return make_float2(toFloat(pair.h[0]), toFloat(pair.h[1]));
}

}  // namespace tensorrt_node::kernels
