// Keys and values in pages.
#pragma once

#include "../parameters.h"
#include "element.cuh"
#include "rotary.cuh"

namespace tensorrt_node::kernels {

// A layer's pages, and where a slot's tokens are in them.
template <typename T>
struct Pages {
  T* keys;
  T* values;
  const std::int32_t* table;

  __device__ Pages(const AttentionParameters& p, int slot)
      : keys(reinterpret_cast<T*>(loadPast(p.cache))),
        values(reinterpret_cast<T*>(loadPast(p.cache + 1))),
        table(p.pages + static_cast<std::size_t>(slot) * p.pagesPerSlot) {}

  // Element of a token's vector of a head; those of the page's next tokens follow.
  __device__ std::size_t at(const AttentionParameters& p, int token, int head) const {
    return inPage(p, table[token / p.pageSize], token, head);
  }
  __device__ static std::size_t inPage(const AttentionParameters& p, int page, int token, int head) {
    return ((static_cast<std::size_t>(page) * p.kvHeads + head) * p.pageSize + token % p.pageSize) * p.headSize;
  }
};

// Writes the key and the value of a row of qkv, of one head, to its pages. By threads `thread` of `threads`.
template <typename T>
__device__ void append(const AttentionParameters& p, const Pages<T>& pages, int row, int position, int kvHead,
                       int thread, int threads) {
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

}  // namespace tensorrt_node::kernels
