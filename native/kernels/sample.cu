// The choice of the next token, as lib/backend/cpu/sampler.ts makes it: penalties, bias, temperature, top-k, top-p,
// min-p, then one draw. sample_scan goes over parts of each row at once: their best tokens, and the sums of their
// weights. sample_choose, one block a row, joins those, and looks at single logits again only where it must: at one
// part's for a draw from all tokens, and for top-k, top-p and logprobs at those that are likely enough.
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

// Whether the weight of all tokens matters.
__device__ inline bool weighsAll(const SampleParameters& p, const SlotSampling& s) {
  return s.temperature > 0 && (s.topK == 0 || s.topK >= p.vocabulary);
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

// A thread's tokens of a part: those that exist.
struct PartLogits {
  static constexpr int each = samplePart / sampleScanThreads;
  float values[each];
  const int first;
  const int end;

  __device__ PartLogits(const float* from, int begin, int endToken)
      : first(begin + static_cast<int>(threadIdx.x)), end(endToken) {
#pragma unroll
    for (int i = 0; i < each; ++i) values[i] = token(i) < end ? from[token(i)] : 0;
  }
  __device__ int token(int i) const {
    return first + i * sampleScanThreads;
  }

  template <typename Each>
  __device__ void forEach(Each call) const {
#pragma unroll
    for (int i = 0; i < each; ++i)
      if (token(i) < end) call(values[i], token(i));
  }
};

// Of the warp, and then of the block, which it tells of each warp's.
__device__ inline std::uint64_t bestOf(const PartLogits& logits, std::uint64_t* ofWarps, std::uint64_t* scratch) {
  std::uint64_t best = 0;
  logits.forEach([&](float logit, int token) {
    if (logit != logit) return;
    const std::uint64_t each = candidate(logit, token);
    best = each > best ? each : best;
  });
  best = reduceWarp(best, Largest{});
  if (threadIdx.x % 32 == 0) ofWarps[threadIdx.x / 32] = best;
  return reduceBlock(best, scratch, Largest{});
}

__device__ inline void scan(const SampleParameters& p) {
  __shared__ std::uint64_t scratch[32];
  __shared__ float floats[32];
  letSuccessorBegin();
  const int row = blockIdx.y;
  // From copies or from begin_step, as for attention.
  const int slot = loadPast(p.slots + row);
  waitForPredecessor();
  if (slot < 0) return;
  const int begin = blockIdx.x * samplePart;
  const int end = min(begin + samplePart, p.vocabulary);
  const PartLogits raw(rawLogits(p, row), begin, end);
  if (p.states[slot].running == 0) return;
  const SlotSampling& s = p.sampling[slot];
  const bool adjusted = adjusts(s);
  if (adjusted) adjust(p, s, row, begin, end);
  const PartLogits logits = adjusted ? PartLogits(adjustedLogits(p, row), begin, end) : raw;

  const int firstWarp = static_cast<int>(blockIdx.x) * sampleScanWarps;
  PartState state{};
  state.best = bestOf(logits, warpBests(p, row, LogitKind::adjusted) + firstWarp, scratch);
  bool notNumber = false;
  logits.forEach([&](float logit, int) { notNumber = notNumber || logit != logit; });
  state.notNumbers = __syncthreads_or(notNumber ? 1 : 0);
  if (weighsAll(p, s)) {
    const Weights weights(logitOf(keyOf(state.best)), s.temperature, 0);
    logits.forEach([&](float logit, int) { state.weight += weights.fixed(logit); });
    state.weight = reduceBlock(state.weight, scratch, Add{});
  }
  if (s.logprobs >= 0) {
    const std::uint64_t best = bestOf(raw, warpBests(p, row, LogitKind::raw) + firstWarp, scratch);
    state.rawMost = logitOf(keyOf(best));
    raw.forEach([&](float logit, int) { state.rawTotal += expf(logit - state.rawMost); });
    state.rawTotal = state.rawMost == -INFINITY ? 0 : reduceBlock(state.rawTotal, floats, Add{});
  }
  if (threadIdx.x == 0) partStates(p, row)[blockIdx.x] = state;
}

// What the parts found together. By each warp for itself.
struct Found {
  std::uint64_t best = 0;
  RawSum raw;
  bool notNumber = false;

  __device__ Found(const SampleParameters& p, int row) {
    const PartState* states = partStates(p, row);
    for (int part = threadIdx.x % 32; part < partsOf(p); part += 32) {
      best = states[part].best > best ? states[part].best : best;
      raw = Join{}(raw, {states[part].rawMost, states[part].rawTotal});
      notNumber = notNumber || states[part].notNumbers != 0;
    }
    best = reduceWarp(best, Largest{});
    notNumber = __ballot_sync(0xFFFFFFFF, notNumber ? 1 : 0) != 0;
    for (int distance = 16; distance > 0; distance /= 2) {
      const RawSum other{__shfl_xor_sync(0xFFFFFFFF, raw.most, distance),
                         __shfl_xor_sync(0xFFFFFFFF, raw.total, distance)};
      // The same of both, whichever asks.
      raw = threadIdx.x & distance ? Join{}(other, raw) : Join{}(raw, other);
    }
  }
};

// The weights of a row's parts. By each warp for itself.
struct PartWeights {
  const PartState* states;
  const int parts;
  const Weights& weights;
  std::uint64_t total = 0;

  __device__ PartWeights(const SampleParameters& p, int row, const Weights& relativeToAll)
      : states(partStates(p, row)), parts(partsOf(p)), weights(relativeToAll) {
    for (int part = threadIdx.x % 32; part < parts; part += 32) total += of(part);
    total = reduceWarp(total, Add{});
  }

  // Of the weights in a part, which are relative to its own largest.
  __device__ float factor(int part) const { return weights.of(logitOf(keyOf(states[part].best))); }
  __device__ std::uint64_t of(int part) const {
    return static_cast<std::uint64_t>(static_cast<double>(states[part].weight) * static_cast<double>(factor(part)));
  }

  // The part with which the sum is above `below`, which becomes what is left of it there, in the part's own weights.
  __device__ int find(std::uint64_t& below) const {
    std::uint64_t before = 0;
    for (int first = 0; first < parts; first += 32) {
      const int mine = first + static_cast<int>(threadIdx.x % 32);
      const std::uint64_t own = mine < parts ? of(mine) : 0;
      const std::uint64_t upTo = before + scanWarp(own);
      const unsigned reached = __ballot_sync(0xFFFFFFFF, upTo > below);
      before = __shfl_sync(0xFFFFFFFF, upTo, 31);
      if (reached == 0) continue;
      const int lane = __ffs(static_cast<int>(reached)) - 1;
      const int part = first + lane;
      const std::uint64_t left = below - __shfl_sync(0xFFFFFFFF, upTo - own, lane);
      const auto inPart = static_cast<std::uint64_t>(static_cast<double>(left) / static_cast<double>(factor(part)));
      const std::uint64_t last = states[part].weight - 1;
      below = inPart < last ? inPart : last;
      return part;
    }
    // Not reached: all together are above any share of themselves.
    return parts - 1;
  }
};

__device__ inline int drawFromAll(const SampleParameters& p, const Logits& logits, const PartWeights& parts,
                                  std::uint32_t random, std::uint64_t* scratch) {
  std::uint64_t below = fractionOf(parts.total, random);
  const int part = parts.find(below);
  const int begin = part * samplePart;
  const Weights weights(logitOf(keyOf(parts.states[part].best)), parts.weights.temperature, 0);
  return begin + firstAbove({logits.values + begin, min(samplePart, p.vocabulary - begin)}, below, scratch,
                            [&](float logit) { return weights.fixed(logit); });
}

// Of those that min-p leaves.
__device__ inline int drawFromLikely(const Logits& logits, const Weights& weights, std::uint32_t random,
                                     std::uint64_t* scratch) {
  const auto fixed = [&](float logit) { return weights.fixed(logit); };
  const std::uint64_t total = sumFrom(logits, 0, scratch, fixed);
  return firstAbove(logits, fractionOf(total, random), scratch, fixed);
}

// By passes over all logits: where the nucleus is too large to be sorted.
__device__ inline int drawFromPrefix(const Logits& logits, const SlotSampling& s, const Weights& weights,
                                     std::uint32_t random, std::uint64_t* scratch) {
  const Weights all(weights.most, weights.temperature, 0);
  const auto one = [](float) -> std::uint64_t { return 1; };
  const auto full = [&](float logit) { return all.fixed(logit); };
  const auto fixed = [&](float logit) { return weights.fixed(logit); };
  const std::uint64_t wanted = s.topK == 0 || s.topK > logits.count ? logits.count : s.topK;
  Prefix prefix{};
  if (s.topP != 1 && wanted == static_cast<std::uint64_t>(logits.count)) {
    prefix = shortestPrefix(logits, shareOf(sumFrom(logits, 0, scratch, full), s.topP), scratch, full);
  } else {
    prefix = shortestPrefix(logits, wanted, scratch, one);
    if (s.topP != 1) {
      const std::uint64_t needed = shareOf(measureOf(logits, prefix, scratch, full), s.topP);
      prefix = shortestPrefix(logits, needed, scratch, full);
    }
  }
  const std::uint64_t total = measureOf(logits, prefix, scratch, fixed);
  return lastOf(logits, shortestPrefix(logits, fractionOf(total, random) + 1, scratch, fixed), scratch);
}

// The first `wanted` tokens, or some more.
__device__ inline void takeFirst(SortedTokens& sorted, const SampleParameters& p, int row, LogitKind kind,
                                 const Logits& logits, const Weights& weights, int wanted, std::uint64_t* scratch) {
  constexpr std::uint64_t anyWeight = ~std::uint64_t{0};
  __shared__ float shared;
  if (threadIdx.x < 32) {
    const float reached = reachedBy(warpBests(p, row, kind), warpBestsOf(p), wanted);
    if (threadIdx.x == 0) shared = reached;
  }
  __syncthreads();
  const float least = shared;
  const bool fit = least > -INFINITY || logits.count <= sampleSorted;
  if (!fit || !sorted.takeFrom(logits, least)) sorted.takeFirst(logits, weights, least, wanted, anyWeight, scratch);
}

__device__ inline int choose(const SampleParameters& p, const Logits& logits, const SlotSampling& s, int row,
                             int position, std::uint64_t best, SortedTokens& sorted, std::uint64_t* scratch) {
  if (s.temperature == 0) return tokenOf(best);
  const Weights weights(logitOf(keyOf(best)), s.temperature, s.minP);
  const std::uint32_t random = uniformBits(s.seed, static_cast<std::uint32_t>(position));
  const bool all = weighsAll(p, s);
  if (s.topK == 0 && s.topP == 1 && s.minP > 0) return drawFromLikely(logits, weights, random, scratch);
  std::uint64_t total = 0;
  if (all) {
    const PartWeights parts(p, row, weights);
    if (s.topK == 0 && s.topP == 1) return drawFromAll(p, logits, parts, random, scratch);
    total = parts.total;
  }
  if (all && s.topP < 1) {
    // Tokens that each have less than this weigh less than 1 - topP together.
    const double least = (1 - static_cast<double>(s.topP)) * static_cast<double>(total) / logits.count;
    const float distance = logf(static_cast<float>(least / static_cast<double>(Weights::one)));
    sorted.takeFirst(logits, weights, weights.most + weights.temperature * (1.001F * distance - 0.001F), logits.count,
                     shareOf(total, s.topP), scratch);
  } else {
    takeFirst(sorted, p, row, LogitKind::adjusted, logits, weights, all ? logits.count : s.topK, scratch);
  }
  const int token = drawFromSorted(sorted, logits, s, weights, total, random, scratch);
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
  takeFirst(sorted, p, row, LogitKind::raw, logits, Weights(found.raw.most, 1, 0), wanted, scratch);
  for (int i = 0; i < wanted; ++i) {
    // Where many are equal to the last of them, none of those were sorted.
    if (i < sorted.count && threadIdx.x != i) continue;
    const int each =
        i < sorted.count
            ? tokenOf(sorted.tokens[i])
            : lastOf(logits, shortestPrefix(logits, i + 1, scratch, [](float) -> std::uint64_t { return 1; }), scratch);
    if (static_cast<int>(threadIdx.x) != i) continue;
    record.topTokens[i] = each;
    record.topLogprobs[i] = logits.values[each] - found.raw.most - logTotal;
  }
}

// By a warp.
__device__ inline void advance(const SlotSampling& s, SlotState& state, TokenRecord& record, int token) {
  bool stops = false;
  for (int i = threadIdx.x; i < s.stopTokens; i += 32) stops = stops || s.stopTokenIds[i] == token;
  stops = __ballot_sync(0xFFFFFFFF, stops ? 1 : 0) != 0;
  if (threadIdx.x != 0) return;
  const bool ends = stops || state.remaining <= 1;
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

// The most likely token, and nothing said of others. Safe before waitForPredecessor().
__device__ inline bool isGreedy(const SlotSampling* s) {
  static_assert(sizeof s->temperature == sizeof(std::int32_t));
  const std::int32_t temperature = loadPast(reinterpret_cast<const std::int32_t*>(&s->temperature));
  return (temperature & 0x7FFFFFFF) == 0 && loadPast(&s->logprobs) < 0;
}

__device__ inline void chooseRow(const SampleParameters& p) {
  __shared__ std::uint64_t scratch[32];
  SortedTokens sorted(launchedShared());
  letSuccessorBegin();
  const int row = blockIdx.x;
  // From copies or from begin_step, as for attention; the sampling is always from copies.
  const int slot = loadPast(p.slots + row);
  // One warp is enough where all there is to do is joining the parts.
  const bool alone = slot < 0 || isGreedy(p.sampling + slot);
  waitForPredecessor();
  TokenRecord& record = p.records[row];
  if (alone && threadIdx.x >= 32) return;
  // Of no use where nothing runs, and on its way before that is known.
  const Found found(p, row);
  if (!runs(p, slot)) {
    if (threadIdx.x == 0) end(nullptr, record, notRunning);
    return;
  }
  SlotState& state = p.states[slot];
  const SlotSampling& s = p.sampling[slot];
  const bool noneIsLeft = keyOf(found.best) <= keyOf(-INFINITY);
  if (found.notNumber || noneIsLeft) {
    // Its state says that it runs, and others may still have to read that.
    if (!alone) __syncthreads();
    if (threadIdx.x == 0) end(&state, record, found.notNumber ? notNumbers : noneLeft);
    return;
  }
  const Logits logits{adjusts(s) ? adjustedLogits(p, row) : rawLogits(p, row), p.vocabulary};
  const int token = choose(p, logits, s, row, state.position + 1, found.best, sorted, scratch);
  if (s.logprobs >= 0) report(p, s, row, found, token, sorted, scratch);
  if (!alone) __syncthreads();
  if (threadIdx.x < 32) advance(s, state, record, token);
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
