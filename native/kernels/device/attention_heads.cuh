// What attention's kernels share: which heads a block works on, and rotated pairs on their way to shared memory.
#pragma once

#include "../geometry.h"
#include "../parameters.h"
#include "rotary.cuh"

namespace tensorrt_node::kernels {

// Heads that a block works on, of one head of keys.
struct HeadBlock {
  int kvHead;
  int firstHead;
  int heads;
  // Of those of its head of keys.
  bool isFirst;

  __device__ HeadBlock(const AttentionParameters& p, int index) {
    const int group = p.heads / p.kvHeads;
    const int blocks = attentionHeadBlocks(p.heads, p.kvHeads);
    kvHead = index / blocks;
    const int first = index % blocks * attentionRows;
    firstHead = kvHead * group + first;
    heads = min(group - first, attentionRows);
    isFirst = first == 0;
  }
};

// Rotates a query of a head into shared memory.
template <typename T>
__device__ void putPair(T* to, const Pair<T>& pair) {
  to[pair.first] = pair.a;
  to[pair.second] = pair.b;
}

template <typename T>
__device__ void zeroOut(const AttentionParameters& p, int row, int head) {
  T* out = static_cast<T*>(p.out) + (static_cast<std::size_t>(row) * p.heads + head) * p.headSize;
  for (int i = threadIdx.x; i < p.headSize; i += blockDim.x) out[i] = fromFloat<T>(0);
}

}  // namespace tensorrt_node::kernels
