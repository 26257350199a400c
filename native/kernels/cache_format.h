// How keys and values lie in pages, as kernels, their launchers and whoever allocates pages know it.
//
// A page holds the tokens pageSize * i and on of a sequence, for each head of keys or values after the other. With
// CacheType::plain a head's part is [pageSize, headSize] elements as they are computed with. With 8 bits it is codes
// [pageSize, headSize], a byte each, and then float scales [pageSize]: of a token's vector x,
//   most = max(|x_1|, .., |x_n|, 2^-64), scale = most / L, code_i = round(x_i * (L / most)), read as code_i * scale
// in float32, ties to even. int8: L = 127, codes are integers. float8: L = 15.5, codes are E3M4 (a bias of 3; Kuzmin et
// al. 2022), subnormal ones too. lib/backend/kv_cache_type.ts says the same of the CPU backend, and why it is not E4M3.
// Beside codes of 64 elements the scale is 6 %, of 128 elements 3 %.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tensorrt_node::kernels {

enum class CacheType : std::int32_t { plain, float8, int8 };

constexpr float float8Largest = 15.5;
constexpr float int8Largest = 127;
// Of `most`: so that both quotients are finite.
constexpr float leastMagnitude = 0x1p-64F;

// Of a head's part of a page of 8 bits.
constexpr std::size_t codedHeadBytes(std::int32_t pageSize, std::int32_t headSize) {
  return static_cast<std::size_t>(pageSize) * (static_cast<std::size_t>(headSize) + sizeof(float));
}

// Of a page's keys, or its values. Plain elements have two bytes.
constexpr std::size_t cachePageBytes(CacheType type, std::int32_t kvHeads, std::int32_t pageSize,
                                     std::int32_t headSize) {
  const std::size_t plain = static_cast<std::size_t>(pageSize) * static_cast<std::size_t>(headSize) * 2;
  return static_cast<std::size_t>(kvHeads) * (type == CacheType::plain ? plain : codedHeadBytes(pageSize, headSize));
}

}  // namespace tensorrt_node::kernels
