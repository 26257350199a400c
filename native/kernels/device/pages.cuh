// Keys and values in pages.
#pragma once

#include "../geometry.h"
#include "../parameters.h"
#include "cache_codes.cuh"
#include "rotary.cuh"

namespace tensorrt_node::kernels {

// A layer's pages, and where a slot's tokens are in them.
template <typename Codes>
struct Pages {
  using Element = typename Codes::Element;
  Element* keys;
  Element* values;
  const std::int32_t* table;

  __device__ Pages(const AttentionParameters& p, int slot)
      : keys(reinterpret_cast<Element*>(loadPast(p.cache))),
        values(reinterpret_cast<Element*>(loadPast(p.cache + 1))),
        table(p.pages + static_cast<std::size_t>(slot) * p.pagesPerSlot) {}

  // Element of a token's vector of a head; those of the page's next tokens follow.
  __device__ std::size_t at(const AttentionParameters& p, int token, int head) const {
    return inPage(p, table[token / p.pageSize], token, head);
  }
  __device__ static std::size_t inPage(const AttentionParameters& p, int page, int token, int head) {
    if constexpr (Codes::scaled)
      return headIn(p, page, head) + static_cast<std::size_t>(token % p.pageSize * p.headSize);
    else
      return ((static_cast<std::size_t>(page) * p.kvHeads + head) * p.pageSize + token % p.pageSize) * p.headSize;
  }
  // Of a token's scale, in bytes; those of the page's next tokens follow.
  __device__ static std::size_t scaleInPage(const AttentionParameters& p, int page, int token, int head) {
    return headIn(p, page, head) + static_cast<std::size_t>(p.pageSize * p.headSize) +
           token % p.pageSize * sizeof(float);
  }

 private:
  __device__ static std::size_t headIn(const AttentionParameters& p, int page, int head) {
    return (static_cast<std::size_t>(page) * p.kvHeads + head) * codedHeadBytes(p.pageSize, p.headSize);
  }
};

// Writes the key and the value of a row of qkv, of one head, to its pages. By threads `thread` of `threads`.
template <typename T>
__device__ void append(const AttentionParameters& p, const Pages<PlainCodes<T>>& pages, int row, int position,
                       int kvHead, int thread, int threads) {
  const T* key = headOf<T>(p, row, p.heads + kvHead);
  const T* value = headOf<T>(p, row, p.heads + p.kvHeads + kvHead);
  const std::size_t to = pages.at(p, position, kvHead);
  for (int pair = thread; pair < p.headSize / 2; pair += threads) {
    const Pair<T> rotated = rotatedPair(p, key, position, pair);
    pages.keys[to + rotated.first] = rotated.a;
    pages.keys[to + rotated.second] = rotated.b;
    pages.values[to + 2 * pair] = value[2 * pair];
    pages.values[to + 2 * pair + 1] = value[2 * pair + 1];
  }
}

// Writes the codes and the scale of the key of a row, or of its value, of one head. By a warp.
template <typename Codes>
__device__ void appendCodes(const AttentionParameters& p, const Pages<Codes>& pages, int row, int position, int kvHead,
                            bool isValue) {
  using T = typename Codes::Operand;
  constexpr int mostPairs = attentionLargestHead / 2;
  const T* head = headOf<T>(p, row, p.heads + (isValue ? p.kvHeads : 0) + kvHead);
  const int lane = threadIdx.x % 32;
  Pair<T> pairs[mostPairs / 32];
  float most = 0;
#pragma unroll
  for (int i = 0; i < mostPairs / 32; ++i) {
    const int pair = lane + 32 * i;
    if (pair >= p.headSize / 2) continue;
    pairs[i] = isValue ? Pair<T>{2 * pair, 2 * pair + 1, head[2 * pair], head[2 * pair + 1]}
                       : rotatedPair(p, head, position, pair);
    most = fmaxf(most, fmaxf(fabsf(toFloat(pairs[i].a)), fabsf(toFloat(pairs[i].b))));
  }
  const auto scale = VectorScale::of<Codes>(most);
  const int page = pages.table[position / p.pageSize];
  std::uint8_t* side = isValue ? pages.values : pages.keys;
  std::uint8_t* to = side + Pages<Codes>::inPage(p, page, position, kvHead);
#pragma unroll
  for (int i = 0; i < mostPairs / 32; ++i) {
    if (lane + 32 * i >= p.headSize / 2) continue;
    to[pairs[i].first] = static_cast<std::uint8_t>(Codes::encode(toFloat(pairs[i].a) * scale.inverse));
    to[pairs[i].second] = static_cast<std::uint8_t>(Codes::encode(toFloat(pairs[i].b) * scale.inverse));
  }
  if (lane == 0) *reinterpret_cast<float*>(side + Pages<Codes>::scaleInPage(p, page, position, kvHead)) = scale.scale;
}

}  // namespace tensorrt_node::kernels
