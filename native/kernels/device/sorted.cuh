// The most likely tokens of a row, sorted in shared memory, and draws from them.
#pragma once

#include <cstdint>

#include "../geometry.h"
#include "logits.cuh"
#include "reduce.cuh"
#include "selection.cuh"

namespace tensorrt_node::kernels {

// The least weight, but some, that reaches a share of the total.
__device__ inline std::uint64_t shareOf(std::uint64_t total, float share) {
  const auto needed = static_cast<std::uint64_t>(ceil(static_cast<double>(share) * static_cast<double>(total)));
  return needed == 0 ? 1 : needed < total ? needed : total;
}

// A logit that at least `wanted` tokens have or exceed, and not many more, from the best tokens of warps; -Infinity if
// those are too few, or too many. By a warp.
__device__ inline float reachedBy(const std::uint64_t* bests, int count, int wanted) {
  constexpr int each = 32;
  if (count < wanted || count > 32 * each) return -INFINITY;
  const int lane = threadIdx.x % 32;
  std::uint32_t keys[each];
#pragma unroll
  for (int i = 0; i < each; ++i) keys[i] = lane + 32 * i < count ? keyOf(bests[lane + 32 * i]) : 0;
  std::uint32_t key = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const std::uint32_t higher = key | 1U << bit;
    int reached = 0;
#pragma unroll
    for (int i = 0; i < each; ++i)
      if (32 * i < count) reached += __popc(__ballot_sync(0xFFFFFFFF, keys[i] >= higher));
    if (reached < wanted) continue;
    key = higher;
    if (reached <= wanted + wanted / 4) break;
  }
  return key < keyOf(-INFINITY) ? -INFINITY : logitOf(key);
}

// Enough to draw from, if they fit: each that is at least as likely as some logit, so that they begin the order of all.
struct SortedTokens {
  // candidate()s, the best first.
  std::uint64_t* tokens;
  // Their weights, summed up.
  std::uint64_t* sums;
  // Bins of the distance to the largest logit.
  std::int32_t* bins;
  int count = 0;

  __device__ explicit SortedTokens(void* memory)
      : tokens(static_cast<std::uint64_t*>(memory)),
        sums(tokens + sampleSorted),
        bins(reinterpret_cast<std::int32_t*>(sums + sampleSorted)) {}

  // Those with logits of at least `least`; none, and false, if they do not fit.
  __device__ bool takeFrom(const Logits& logits, float least) {
    return take(logits, [&](float logit) { return logit >= least; });
  }

  // The first `wanted`, or those whose weights reach `needed`, or as many as fit, and what is in a bin with the last of
  // them. Logits below `least` are left out.
  __device__ void takeFirst(const Logits& logits, const Weights& weights, float least, int wanted, std::uint64_t needed,
                            std::uint64_t* scratch) {
    __shared__ int lastBin;
    for (int i = threadIdx.x; i < sampleBins; i += blockDim.x) bins[i] = 0;
    if (threadIdx.x == 0) lastBin = -1;
    __syncthreads();
    forEachLogit(logits, [&](float logit, int) {
      const int bin = logit >= least ? binOf(logit, weights) : sampleBins - 1;
      // The last holds the unlikely rest, and is never taken.
      if (bin < sampleBins - 1) atomicAdd(&bins[bin], 1);
    });
    __syncthreads();
    static_assert(sampleBins == 2 * sampleChooseThreads);
    const int first = 2 * static_cast<int>(threadIdx.x);
    const std::uint64_t counts[2]{static_cast<std::uint64_t>(bins[first]), static_cast<std::uint64_t>(bins[first + 1])};
    std::uint64_t lower[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      // What a token at the far end of the bin, and some more, weighs.
      const float weight = expf(-(static_cast<float>(first + i) + 1.1F) / binsPerUnit);
      lower[i] = counts[i] * static_cast<std::uint64_t>(weight * Weights::one);
    }
    const std::uint64_t countBefore = scanBlock(counts[0] + counts[1], scratch) - counts[0] - counts[1];
    const std::uint64_t weightBefore = scanBlock(lower[0] + lower[1], scratch) - lower[0] - lower[1];
    const auto isTaken = [&](std::uint64_t before, std::uint64_t own, std::uint64_t weight) {
      return before + own <= sampleSorted && before < static_cast<std::uint64_t>(wanted) && weight < needed;
    };
    // The bins that are taken come before those that are not.
    int takenBins = isTaken(countBefore, counts[0], weightBefore) ? 1 : 0;
    if (first + 1 < sampleBins - 1 && isTaken(countBefore + counts[0], counts[1], weightBefore + lower[0])) ++takenBins;
    if (takenBins > 0) atomicAdd(&lastBin, takenBins);
    __syncthreads();
    const int last = lastBin;
    take(logits, [&](float logit) { return logit >= least && binOf(logit, weights) <= last; });
  }

  // Fills `sums` with weight(logit) of the first `length` tokens.
  template <typename Weight>
  __device__ void accumulate(int length, std::uint64_t* scratch, Weight weight) {
    // Each thread a stretch.
    const int each = divideUp(length, static_cast<int>(blockDim.x));
    const int begin = min(static_cast<int>(threadIdx.x) * each, length);
    const int end = min(begin + each, length);
    std::uint64_t mine = 0;
    for (int i = begin; i < end; ++i) mine += weight(logitOf(keyOf(tokens[i])));
    std::uint64_t sum = scanBlock(mine, scratch) - mine;
    for (int i = begin; i < end; ++i) {
      sum += weight(logitOf(keyOf(tokens[i])));
      sums[i] = sum;
    }
    __syncthreads();
  }

  // How many of the first `length` sums are below `needed`.
  __device__ int below(int length, std::uint64_t needed) const {
    int low = 0;
    int high = length;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (sums[middle] < needed)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

 private:
  // Bins for a distance of one temperature.
  static constexpr float binsPerUnit = 64;

  __device__ static int binOf(float logit, const Weights& weights) {
    // Distances that are no number, or beyond all bins, are in the last.
    const float distance = (weights.most - logit) / weights.temperature * binsPerUnit;
    return distance < sampleBins - 1 ? static_cast<int>(distance) : sampleBins - 1;
  }

  template <typename Is>
  __device__ bool take(const Logits& logits, Is is) {
    __shared__ int taken;
    if (threadIdx.x == 0) taken = 0;
    __syncthreads();
    forEachLogit(logits, [&](float logit, int token) {
      if (!is(logit)) return;
      const int at = atomicAdd(&taken, 1);
      if (at < sampleSorted) tokens[at] = candidate(logit, token);
    });
    __syncthreads();
    count = taken;
    // Read by all before it is used again.
    __syncthreads();
    if (count > sampleSorted) {
      count = 0;
      return false;
    }
    int size = 1;
    while (size < count) size *= 2;
    for (int i = count + threadIdx.x; i < size; i += blockDim.x) tokens[i] = 0;
    __syncthreads();
    sort(size);
    return true;
  }

  // Batcher's bitonic sort, the largest first.
  __device__ void sort(int size) {
    for (int run = 2; run <= size; run *= 2)
      for (int distance = run / 2; distance > 0; distance /= 2) {
        for (int i = threadIdx.x; i < size / 2; i += blockDim.x) {
          const int low = 2 * distance * (i / distance) + i % distance;
          const int high = low + distance;
          const bool descends = (low & run) == 0;
          const std::uint64_t a = tokens[low];
          const std::uint64_t b = tokens[high];
          if ((a < b) == descends) {
            tokens[low] = b;
            tokens[high] = a;
          }
        }
        __syncthreads();
      }
  }
};

// The draw, if what is drawn from is among the sorted tokens: -1 otherwise. `total` is the weight of all tokens, if it
// is asked for: where all are wanted and only a share of them.
__device__ inline int drawFromSorted(SortedTokens& sorted, const Logits& logits, const SlotSampling& s,
                                     const Weights& weights, std::uint64_t total, std::uint32_t random,
                                     std::uint64_t* scratch) {
  const Weights all(weights.most, weights.temperature, 0);
  const int wanted = s.topK == 0 || s.topK > logits.count ? logits.count : s.topK;
  int length = wanted;
  if (s.topP != 1) {
    const int there = min(wanted, sorted.count);
    sorted.accumulate(there, scratch, [&](float logit) { return all.fixed(logit); });
    if (there == 0 || (wanted > there && wanted < logits.count)) return -1;
    const int reached = sorted.below(there, shareOf(wanted <= there ? sorted.sums[wanted - 1] : total, s.topP));
    if (reached == there && there < wanted) return -1;
    length = min(reached + 1, wanted);
    __syncthreads();
  }
  if (length > sorted.count) return -1;
  sorted.accumulate(length, scratch, [&](float logit) { return weights.fixed(logit); });
  const std::uint64_t below = fractionOf(sorted.sums[length - 1], random);
  return tokenOf(sorted.tokens[min(sorted.below(length, below + 1), length - 1)]);
}

}  // namespace tensorrt_node::kernels
