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

// The pair of a head that belongs to `pair`, and the angle that a position turns it by.
struct Rotation {
  int first;
  int second;
  bool turns;
  float cos = 1;
  float sin = 0;

  __device__ Rotation(const AttentionParameters& p, int position, int pair) {
    const int half = p.cos == nullptr ? 0 : p.rotarySize / 2;
    turns = pair < half;
    first = turns && !p.interleaved ? pair : 2 * pair;
    second = turns && !p.interleaved ? pair + half : 2 * pair + 1;
    if (!turns) return;
    cos = p.cos[static_cast<std::size_t>(position) * half + pair];
    sin = p.sin[static_cast<std::size_t>(position) * half + pair];
  }

  // Of the head's elements `first` and `second`.
  template <typename T>
  __device__ Pair<T> operator()(T atFirst, T atSecond) const {
    if (!turns) return {first, second, atFirst, atSecond};
    const float a = toFloat(atFirst);
    const float b = toFloat(atSecond);
    return {first, second, fromFloat<T>(a * cos - b * sin), fromFloat<T>(b * cos + a * sin)};
  }
};

template <typename T>
__device__ Pair<T> rotatedPair(const AttentionParameters& p, const T* head, int position, int pair) {
  const Rotation rotation(p, position, pair);
  return rotation(head[rotation.first], head[rotation.second]);
}

// A head in a row of qkv: queries, then keys, then values.
template <typename T>
__device__ const T* headOf(const AttentionParameters& p, int row, int head) {
  return static_cast<const T*>(p.qkv) + (static_cast<std::size_t>(row) * (p.heads + 2 * p.kvHeads) + head) * p.headSize;
}

}  // namespace tensorrt_node::kernels
