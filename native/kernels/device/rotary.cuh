// Rotary positions: heads of qkv, rotated to a row's position.
#pragma once

#include "../parameters.h"
#include "element.cuh"

namespace tensorrt_node::kernels {

// Two elements of a head, and where in it they are. Of headSize / 2 pairs, the first rotarySize / 2 are rotated.
template <typename T>
struct Pair {
  int first;
  int second;
  T a;
  T b;
};

template <typename T>
__device__ Pair<T> rotatedPair(const AttentionParameters& p, const T* head, int position, int pair) {
  const int half = p.cos == nullptr ? 0 : p.rotarySize / 2;
  if (pair >= half) return {2 * pair, 2 * pair + 1, head[2 * pair], head[2 * pair + 1]};
  const int first = p.interleaved ? 2 * pair : pair;
  const int second = p.interleaved ? 2 * pair + 1 : pair + half;
  const float a = toFloat(head[first]);
  const float b = toFloat(head[second]);
  const float cos = p.cos[static_cast<std::size_t>(position) * half + pair];
  const float sin = p.sin[static_cast<std::size_t>(position) * half + pair];
  return {first, second, fromFloat<T>(a * cos - b * sin), fromFloat<T>(b * cos + a * sin)};
}

// A head in a row of qkv: queries, then keys, then values.
template <typename T>
__device__ const T* headOf(const AttentionParameters& p, int row, int head) {
  return static_cast<const T*>(p.qkv) + (static_cast<std::size_t>(row) * (p.heads + 2 * p.kvHeads) + head) * p.headSize;
}

}  // namespace tensorrt_node::kernels
