// Tokens in the order of their logits, without sorting all of them. All by one block; every thread gets the result.
#pragma once

#include <cstdint>

#include "logits.cuh"
#include "reduce.cuh"

namespace tensorrt_node::kernels {

struct Logits {
  const float* values;
  int count;
};

// Calls each(logit, token) for this thread's share of them, several of which are on their way at once.
template <typename Each>
__device__ void forEachLogit(const Logits& logits, Each each) {
  constexpr int atOnce = 8;
  const int threads = static_cast<int>(blockDim.x);
  for (int first = threadIdx.x; first < logits.count; first += atOnce * threads) {
    float values[atOnce];
#pragma unroll
    for (int i = 0; i < atOnce; ++i)
      values[i] = first + i * threads < logits.count ? logits.values[first + i * threads] : 0;
#pragma unroll
    for (int i = 0; i < atOnce; ++i)
      if (first + i * threads < logits.count) each(values[i], first + i * threads);
  }
}

// The first tokens in order: those with keys above `key`, and the first `ties` of those that have it.
struct Prefix {
  std::uint32_t key;
  std::uint64_t ties;
};

// Sums measure(logit) over tokens with keys of at least `least`.
template <typename Measure>
__device__ std::uint64_t sumFrom(const Logits& logits, std::uint32_t least, std::uint64_t* scratch, Measure measure) {
  std::uint64_t sum = 0;
  forEachLogit(logits, [&](float logit, int) {
    if (keyOf(logit) >= least) sum += measure(logit);
  });
  return reduceBlock(sum, scratch, Add{});
}

// The shortest prefix whose measure reaches `needed`, which all tokens together do: 32 passes over the logits.
template <typename Measure>
__device__ Prefix shortestPrefix(const Logits& logits, std::uint64_t needed, std::uint64_t* scratch, Measure measure) {
  std::uint32_t key = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const std::uint32_t higher = key | 1U << bit;
    if (sumFrom(logits, higher, scratch, measure) >= needed) key = higher;
  }
  const std::uint64_t above = key == 0xFFFFFFFFU ? 0 : sumFrom(logits, key + 1, scratch, measure);
  const std::uint64_t each = measure(logitOf(key));
  return {key, each == 0 ? 0 : (needed - above + each - 1) / each};
}

// measure() over a prefix.
template <typename Measure>
__device__ std::uint64_t measureOf(const Logits& logits, const Prefix& prefix, std::uint64_t* scratch,
                                   Measure measure) {
  const std::uint64_t above = prefix.key == 0xFFFFFFFFU ? 0 : sumFrom(logits, prefix.key + 1, scratch, measure);
  return above + prefix.ties * measure(logitOf(prefix.key));
}

// The first token, in the order of tokens, with which the sum of measure(logit) is above `below`; the last with a
// measure if none is, and 0 if none has one. Each warp takes a stretch of tokens; the one that gets there looks closer.
template <typename Measure>
__device__ int firstAbove(const Logits& logits, std::uint64_t below, std::uint64_t* scratch, Measure measure) {
  __shared__ std::uint64_t sums[32];
  __shared__ int found;
  const int warps = blockDim.x / 32;
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const int stretch = roundUp(divideUp(logits.count, warps), 32);
  const int begin = min(warp * stretch, logits.count);
  const int end = min(begin + stretch, logits.count);
  std::uint64_t sum = 0;
  int last = 0;
#pragma unroll 8
  for (int token = begin + lane; token < end; token += 32) {
    const std::uint64_t weight = measure(logits.values[token]);
    sum += weight;
    if (weight > 0) last = token;
  }
  sum = reduceWarp(sum, Add{});
  const auto lastOfAll = static_cast<int>(reduceBlock(static_cast<std::uint64_t>(last), scratch, Largest{}));
  if (lane == 0) sums[warp] = sum;
  if (threadIdx.x == 0) found = lastOfAll;
  __syncthreads();
  std::uint64_t before = 0;
  for (int w = 0; w < warp; ++w) before += sums[w];
  if (before <= below && before + sum > below) {
    for (int first = begin; first < end; first += 32) {
      std::uint64_t upTo = first + lane < end ? measure(logits.values[first + lane]) : 0;
      for (int distance = 1; distance < 32; distance *= 2) {
        const std::uint64_t other = __shfl_up_sync(0xFFFFFFFF, upTo, distance);
        if (lane >= distance) upTo += other;
      }
      const unsigned reached = __ballot_sync(0xFFFFFFFF, before + upTo > below);
      if (reached != 0) {
        if (lane == 0) found = first + __ffs(static_cast<int>(reached)) - 1;
        break;
      }
      before += __shfl_sync(0xFFFFFFFF, upTo, 31);
    }
  }
  __syncthreads();
  const int token = found;
  __syncthreads();
  return token;
}

// The last token of a prefix.
__device__ inline int lastOf(const Logits& logits, const Prefix& prefix, std::uint64_t* scratch) {
  return firstAbove(logits, prefix.ties - 1, scratch,
                    [&](float logit) -> std::uint64_t { return keyOf(logit) == prefix.key ? 1 : 0; });
}

}  // namespace tensorrt_node::kernels
