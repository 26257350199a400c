// Codes of packed weights (quantized_format.h) as elements for the tensor cores, with what they are around still in
// them.
#pragma once

#include "../workspace.h"
#include "intrinsics.cuh"

namespace tensorrt_node::kernels {

// Eight elements of a row that follow each other.
struct RawPairs {
  std::uint32_t pair[4];
};

// What codes of integers are around where a format does not say it.
constexpr float middleOf(CodeType codes) {
  return codes == CodeType::uint4 ? 8 : 128;
}

// decode() gives a block's codes in a lane's vector of a unit, of its first row or its second. An element is
// (code + base) * unit in pairs 0 and 2, and that divided by `second` in pairs 1 and 3.
template <typename T, CodeType codes>
struct RawCodes;

// Of four bits, of which a vector has two blocks.
struct RawNibbles {
  static constexpr int blocks = 2;

  __device__ static std::uint32_t wordOf(const uint4& v, int block, int row) {
    return block % 2 == 0 ? (row == 0 ? v.x : v.y) : (row == 0 ? v.z : v.w);
  }
};
struct RawBytes {
  static constexpr int blocks = 1;

  // The word of a pair.
  __device__ static std::uint32_t wordOf(const uint4& v, int row, int pair) {
    return row == 0 ? (pair < 2 ? v.x : v.y) : (pair < 2 ? v.z : v.w);
  }
  // Of all four pairs: pairOf(word, pair).
  template <typename PairOf>
  __device__ static RawPairs pairsOf(const uint4& v, int row, const PairOf& pairOf) {
    RawPairs pairs;
#pragma unroll
    for (int i = 0; i < 4; ++i) pairs.pair[i] = pairOf(wordOf(v, row, i), i);
    return pairs;
  }
};
// Both bytes of a pair of E4M3, each in the high half of its own.
__device__ inline std::uint32_t raisedBytes(std::uint32_t word, int pair) {
  return pair % 2 == 0 ? word << 8 : word;
}

// Subnormal numbers, whose bits are the code's.
template <>
struct RawCodes<__half, CodeType::uint4> : RawNibbles {
  static constexpr bool hasZero = true;
  static constexpr float unit = 1.0F / (1 << 24);
  static constexpr float second = 1.0F / 16;

  __host__ __device__ static constexpr float zeroOf(float zero) { return zero; }
  __device__ static RawPairs decode(const uint4& v, int block, int row) {
    const std::uint32_t low = wordOf(v, block, row);
    const std::uint32_t high = low >> 8;
    return {{low & 0x000F000F, low & 0x00F000F0, high & 0x000F000F, high & 0x00F000F0}};
  }
};

template <>
struct RawCodes<__half, CodeType::uint8> : RawBytes {
  static constexpr bool hasZero = true;
  static constexpr float unit = 1.0F / (1 << 24);
  static constexpr float second = 1;

  __host__ __device__ static constexpr float zeroOf(float zero) { return zero; }
  __device__ static RawPairs decode(const uint4& v, int, int row) {
    return pairsOf(v, row, [](std::uint32_t word, int i) { return word >> (i % 2 * 8) & 0x00FF00FF; });
  }
};

// bfloat16 has too few bits for subnormal products: 128 and a code.
template <>
struct RawCodes<__nv_bfloat16, CodeType::uint4> : RawNibbles {
  static constexpr bool hasZero = true;
  static constexpr float unit = 1;
  static constexpr float second = 1;

  __host__ __device__ static constexpr float zeroOf(float zero) { return 128 + zero; }
  __device__ static RawPairs decode(const uint4& v, int block, int row) {
    const std::uint32_t word = wordOf(v, block, row);
    RawPairs pairs;
#pragma unroll
    for (int i = 0; i < 4; ++i) pairs.pair[i] = maskedWith(word >> (4 * i), 0x000F000F, 0x43004300);
    return pairs;
  }
};

// Codes are exact, 128 and a code is not: by way of single precision, 2^23 and a code.
template <>
struct RawCodes<__nv_bfloat16, CodeType::uint8> : RawBytes {
  static constexpr bool hasZero = true;
  static constexpr float unit = 1;
  static constexpr float second = 1;

  __host__ __device__ static constexpr float zeroOf(float zero) { return zero; }
  __device__ static RawPairs decode(const uint4& v, int, int row) {
    return pairsOf(v, row, [](std::uint32_t word, int i) {
      const auto at = [&](unsigned byte) {
        return __float_as_uint(__uint_as_float(__byte_perm(word, 0x4B000000, 0x7440 | byte)) - 8388608.0F);
      };
      return __byte_perm(at(i % 2), at(i % 2 + 2), 0x7632);
    });
  }
};

// The same bits with a longer exponent, which is 8 less than it should be.
template <>
struct RawCodes<__half, CodeType::float8> : RawBytes {
  static constexpr bool hasZero = false;
  static constexpr float unit = 1.0F / 256;
  static constexpr float second = 1;

  __host__ __device__ static constexpr float zeroOf(float) { return 0; }
  __device__ static RawPairs decode(const uint4& v, int, int row) {
    return pairsOf(v, row, [](std::uint32_t word, int i) {
      const std::uint32_t bytes = raisedBytes(word, i);
      return maskedWith(bytes >> 1, 0x3F803F80, bytes & 0x80008000);
    });
  }
};

// Here by 120, which is put right at once: the smallest would be none for the tensor cores.
template <>
struct RawCodes<__nv_bfloat16, CodeType::float8> : RawBytes {
  static constexpr bool hasZero = false;
  static constexpr float unit = 1;
  static constexpr float second = 1;

  __host__ __device__ static constexpr float zeroOf(float) { return 0; }
  __device__ static RawPairs decode(const uint4& v, int, int row) {
    return pairsOf(v, row, [](std::uint32_t word, int i) {
      const std::uint32_t bytes = raisedBytes(word, i);
      // Times 2^120, and less nothing.
      return multiplyAddPair(maskedWith(bytes >> 4, 0x07F007F0, bytes & 0x80008000), 0x7B807B80, 0x80008000,
                             __nv_bfloat16());
    });
  }
};

}  // namespace tensorrt_node::kernels
