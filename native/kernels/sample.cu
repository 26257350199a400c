// The choice of the next token, as lib/backend/cpu/sampler.ts makes it: penalties, bias, temperature, top-k, top-p,
// min-p, then one draw. sample_scan goes over parts of each row at once; sample_choose, one block a row, has the
// largest logit from that, and goes on from there.
#include "device/intrinsics.cuh"
#include "device/logits.cuh"
#include "device/philox.cuh"
#include "device/reduce.cuh"
#include "device/selection.cuh"
#include "device/sorted.cuh"
#include "geometry.h"
#include "parameters.h"
#include "workspace.h"

namespace tensorrt_node::kernels {

__device__ inline bool runs(const SampleParameters& p, int slot) {
  return slot >= 0 && p.states[slot].running != 0;
}

struct RawSum {
  float most = -INFINITY;
  float total = 0;
};

// Sums of exponentials relative to different numbers.
struct Join {
  __device__ RawSum operator()(RawSum a, RawSum b) const {
    const float most = fmaxf(a.most, b.most);
    if (most == -INFINITY) return {most, 0};
    return {most, a.total * expf(a.most - most) + b.total * expf(b.most - most)};
  }
};

__device__ inline RawSum joinBlock(RawSum mine, float* scratch) {
  const float most = reduceBlock(mine.most, scratch, Largest{});
  const float total = mine.most == -INFINITY ? 0 : mine.total * expf(mine.most - most);
  return {most, reduceBlock(total, scratch, Add{})};
}

// Writes the part's adjusted logits.
__device__ inline void adjust(const SampleParameters& p, const SlotSampling& s, int row, int begin, int end) {
  const float* raw = rawLogits(p, row);
  float* adjusted = adjustedLogits(p, row);
  for (int token = begin + threadIdx.x; token < end; token += sampleScanThreads)
    adjusted[token] = penalised(s, raw[token], s.counts == nullptr ? 0 : s.counts[token]);
  __syncthreads();
  for (int i = threadIdx.x; i < s.biases; i += sampleScanThreads) {
    const int token = s.biasTokens[i];
    if (token >= begin && token < end) adjusted[token] += s.biasValues[i];
  }
  __syncthreads();
}

__device__ inline void scan(const SampleParameters& p) {
  __shared__ std::uint64_t bests[32];
  __shared__ float floats[32];
  letSuccessorBegin();
  waitForPredecessor();
  const int row = blockIdx.y;
  const int slot = p.slots[row];
  if (!runs(p, slot)) return;
  const SlotSampling& s = p.sampling[slot];
  const int begin = blockIdx.x * samplePart;
  const int end = min(begin + samplePart, p.vocabulary);
  if (adjusts(s)) adjust(p, s, row, begin, end);
  const float* raw = rawLogits(p, row);
  const float* adjusted = adjusts(s) ? adjustedLogits(p, row) : raw;

  std::uint64_t best = 0;
  int notNumber = 0;
  RawSum sum;
  for (int token = begin + threadIdx.x; token < end; token += sampleScanThreads) {
    const float logit = adjusted[token];
    if (logit != logit) {
      notNumber = 1;
      continue;
    }
    const std::uint64_t each = candidate(logit, token);
    best = each > best ? each : best;
    if (s.logprobs >= 0) sum = Join{}(sum, {raw[token], 1});
  }
  best = reduceBlock(best, bests, Largest{});
  const int anyNotNumber = __syncthreads_or(notNumber);
  if (s.logprobs >= 0) sum = joinBlock(sum, floats);
  if (threadIdx.x == 0) partStates(p, row)[blockIdx.x] = {best, sum.most, sum.total, anyNotNumber, 0};
}

// What the parts found together.
struct Found {
  std::uint64_t best = 0;
  RawSum raw;
  bool notNumber = false;

  __device__ Found(const SampleParameters& p, int row) {
    const PartState* states = partStates(p, row);
    for (int part = 0; part < partsOf(p); ++part) {
      best = states[part].best > best ? states[part].best : best;
      raw = Join{}(raw, {states[part].rawMost, states[part].rawTotal});
      notNumber = notNumber || states[part].notNumbers != 0;
    }
  }
};

__device__ inline int drawFromAll(const Logits& logits, const Weights& weights, std::uint32_t random,
                                  std::uint64_t* scratch) {
  const auto fixed = [&](float logit) { return weights.fixed(logit); };
  const std::uint64_t total = sumFrom(logits, 0, scratch, fixed);
  return firstAbove(logits, fractionOf(total, random), scratch, fixed);
}

// By passes over all logits: where the nucleus is too large to be sorted.
__device__ inline int drawFromPrefix(const Logits& logits, const SlotSampling& s, const Weights& weights,
                                     std::uint32_t random, std::uint64_t* scratch) {
  Weights all = weights;
  all.minP = 0;
  const auto one = [](float) -> std::uint64_t { return 1; };
  const auto full = [&](float logit) { return all.fixed(logit); };
  const auto fixed = [&](float logit) { return weights.fixed(logit); };
  const std::uint64_t wanted = s.topK == 0 || s.topK > logits.count ? logits.count : s.topK;
  Prefix prefix = shortestPrefix(logits, wanted, scratch, one);
  if (s.topP != 1) {
    const std::uint64_t total = measureOf(logits, prefix, scratch, full);
    const std::uint64_t needed = shareOf(total, s.topP);
    const Prefix nucleus = shortestPrefix(logits, needed, scratch, full);
    // Weights too small for fixed point end a prefix nowhere.
    if (nucleus.ties > 0) prefix = nucleus;
  }
  const std::uint64_t total = measureOf(logits, prefix, scratch, fixed);
  return lastOf(logits, shortestPrefix(logits, fractionOf(total, random) + 1, scratch, fixed), scratch);
}

__device__ inline int choose(const Logits& logits, const SlotSampling& s, int position, std::uint64_t best,
                             SortedTokens& sorted, std::uint64_t* scratch) {
  if (s.temperature == 0) return tokenOf(best);
  const Weights weights{logitOf(keyOf(best)), s.temperature, s.minP};
  const std::uint32_t random = uniformBits(s.seed, static_cast<std::uint32_t>(position));
  if (s.topK == 0 && s.topP == 1) return drawFromAll(logits, weights, random, scratch);
  sorted.take(logits, weights.most);
  const int token = drawFromSorted(sorted, logits, s, weights, random, scratch);
  return token >= 0 ? token : drawFromPrefix(logits, s, weights, random, scratch);
}

// The most likely tokens under the raw distribution.
__device__ inline void report(const SampleParameters& p, const SlotSampling& s, int row, const Found& found, int token,
                              SortedTokens& sorted, std::uint64_t* scratch) {
  const Logits logits{rawLogits(p, row), p.vocabulary};
  const float logTotal = logf(found.raw.total);
  TokenRecord& record = p.records[row];
  if (threadIdx.x == 0) record.logprob = logits.values[token] - found.raw.most - logTotal;
  const int wanted = min(min(s.logprobs, maxLogprobs), p.vocabulary);
  if (wanted <= 0) return;
  sorted.take(logits, found.raw.most);
  for (int i = 0; i < wanted; ++i) {
    // Where many are equal to the last of them, none of those were sorted.
    const int each =
        i < sorted.count
            ? tokenOf(sorted.tokens[i])
            : lastOf(logits, shortestPrefix(logits, i + 1, scratch, [](float) -> std::uint64_t { return 1; }), scratch);
    if (threadIdx.x != 0) continue;
    record.topTokens[i] = each;
    record.topLogprobs[i] = logits.values[each] - found.raw.most - logTotal;
  }
}

__device__ inline void advance(const SlotSampling& s, SlotState& state, TokenRecord& record, int token) {
  bool ends = state.remaining <= 1;
  for (int i = 0; i < s.stopTokens; ++i) ends = ends || s.stopTokenIds[i] == token;
  state.token = token;
  state.position += 1;
  state.remaining -= 1;
  state.running = ends ? 0 : 1;
  if (s.counts != nullptr) s.counts[token] += 1;
  record.token = token;
  record.finished = ends ? 1 : 0;
}

__device__ inline void end(SlotState* state, TokenRecord& record, TokenProblem problem) {
  record.token = problem;
  record.finished = state == nullptr ? 0 : 1;
  if (state != nullptr) state->running = 0;
}

__device__ inline void chooseRow(const SampleParameters& p) {
  __shared__ std::uint64_t scratch[32];
  SortedTokens sorted(launchedShared());
  letSuccessorBegin();
  waitForPredecessor();
  const int row = blockIdx.x;
  const int slot = p.slots[row];
  TokenRecord& record = p.records[row];
  if (!runs(p, slot)) {
    if (threadIdx.x == 0) end(nullptr, record, notRunning);
    return;
  }
  SlotState& state = p.states[slot];
  const SlotSampling& s = p.sampling[slot];
  const Found found(p, row);
  const bool noneIsLeft = keyOf(found.best) <= keyOf(-INFINITY);
  if (found.notNumber || noneIsLeft) {
    // Its state says that it runs, and others may still have to read that.
    __syncthreads();
    if (threadIdx.x == 0) end(&state, record, found.notNumber ? notNumbers : noneLeft);
    return;
  }
  const Logits logits{adjusts(s) ? adjustedLogits(p, row) : rawLogits(p, row), p.vocabulary};
  const int token = choose(logits, s, state.position + 1, found.best, sorted, scratch);
  if (s.logprobs >= 0) report(p, s, row, found, token, sorted, scratch);
  __syncthreads();
  if (threadIdx.x == 0) advance(s, state, record, token);
}

}  // namespace tensorrt_node::kernels

using namespace tensorrt_node::kernels;

extern "C" __global__ void __launch_bounds__(sampleScanThreads)
    sample_scan(const __grid_constant__ SampleParameters p) {
  scan(p);
}
extern "C" __global__ void __launch_bounds__(sampleChooseThreads)
    sample_choose(const __grid_constant__ SampleParameters p) {
  chooseRow(p);
}
