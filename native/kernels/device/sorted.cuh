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

// As many as fit: each that is at least as likely as some logit, so that they begin the order of all.
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

  __device__ static int binOf(float logit, float most) {
    // Distances that are no number, or beyond all bins, are in the last.
    const float distance = (most - logit) * binsPerUnit;
    return distance < sampleBins - 1 ? static_cast<int>(distance) : sampleBins - 1;
  }

  __device__ void take(const Logits& logits, float most) {
    __shared__ int taken;
    __shared__ int lastBin;
    for (int i = threadIdx.x; i < sampleBins; i += blockDim.x) bins[i] = 0;
    if (threadIdx.x == 0) taken = 0;
    __syncthreads();
    for (int token = threadIdx.x; token < logits.count; token += blockDim.x) {
      const int bin = binOf(logits.values[token], most);
      // The last holds the unlikely rest, and is never taken.
      if (bin < sampleBins - 1) atomicAdd(&bins[bin], 1);
    }
    __syncthreads();
    if (threadIdx.x < 32) {
      const int last = lastBinThatFits();
      if (threadIdx.x == 0) lastBin = last;
    }
    __syncthreads();
    for (int token = threadIdx.x; token < logits.count; token += blockDim.x) {
      const float logit = logits.values[token];
      if (binOf(logit, most) <= lastBin) tokens[atomicAdd(&taken, 1)] = candidate(logit, token);
    }
    __syncthreads();
    count = taken;
    int size = 1;
    while (size < count) size *= 2;
    for (int i = count + threadIdx.x; i < size; i += blockDim.x) tokens[i] = 0;
    __syncthreads();
    sort(size);
  }

  // Fills `sums` with weight(logit) of the first `length` tokens.
  template <typename Weight>
  __device__ void accumulate(int length, std::uint64_t* scratch, Weight weight) {
    // Each thread a stretch, then the stretches of the warps, then those of the block.
    const int each = divideUp(length, static_cast<int>(blockDim.x));
    const int begin = min(static_cast<int>(threadIdx.x) * each, length);
    const int end = min(begin + each, length);
    std::uint64_t mine = 0;
    for (int i = begin; i < end; ++i) mine += weight(logitOf(keyOf(tokens[i])));
    const int lane = threadIdx.x % 32;
    std::uint64_t upTo = mine;
    for (int distance = 1; distance < 32; distance *= 2) {
      const std::uint64_t other = __shfl_up_sync(0xFFFFFFFF, upTo, distance);
      if (lane >= distance) upTo += other;
    }
    if (lane == 31) scratch[threadIdx.x / 32] = upTo;
    __syncthreads();
    std::uint64_t sum = upTo - mine;
    for (unsigned warp = 0; warp < threadIdx.x / 32; ++warp) sum += scratch[warp];
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
  static constexpr float binsPerUnit = 64;

  // By one warp; -1 if not even the first does.
  __device__ int lastBinThatFits() const {
    int last = -1;
    int before = 0;
    for (int first = 0; first < sampleBins - 1; first += 32) {
      const int bin = first + threadIdx.x;
      int upTo = bin < sampleBins - 1 ? bins[bin] : 0;
      for (int distance = 1; distance < 32; distance *= 2) {
        const int other = __shfl_up_sync(0xFFFFFFFF, upTo, distance);
        if (static_cast<int>(threadIdx.x) >= distance) upTo += other;
      }
      const unsigned fits = __ballot_sync(0xFFFFFFFF, before + upTo <= sampleSorted && bin < sampleBins - 1);
      last += __popc(fits);
      if (fits != 0xFFFFFFFFU) break;
      before += __shfl_sync(0xFFFFFFFF, upTo, 31);
    }
    return last;
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

// The draw, if what is drawn from is among the sorted tokens: -1 otherwise.
__device__ inline int drawFromSorted(SortedTokens& sorted, const Logits& logits, const SlotSampling& s,
                                     const Weights& weights, std::uint32_t random, std::uint64_t* scratch) {
  Weights all = weights;
  all.minP = 0;
  const auto full = [&](float logit) { return all.fixed(logit); };
  const int wanted = s.topK == 0 || s.topK > logits.count ? logits.count : s.topK;
  int length = wanted;
  if (s.topP != 1) {
    const int there = min(wanted, sorted.count);
    sorted.accumulate(there, scratch, full);
    if (there == 0 || (wanted > there && wanted < logits.count)) return -1;
    const std::uint64_t total = wanted <= there ? sorted.sums[wanted - 1] : sumFrom(logits, 0, scratch, full);
    const int reached = sorted.below(there, shareOf(total, s.topP));
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
