// A row of logits as the sampler sees them: ordered by keys, weighted in fixed point.
#pragma once

#include <cstdint>

#include "../parameters.h"
#include "../workspace.h"

namespace tensorrt_node::kernels {

// Larger logits have larger keys; -0 and 0 the same one.
__device__ inline std::uint32_t keyOf(float logit) {
  const std::uint32_t bits = __float_as_uint(logit + 0.0F);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
__device__ inline float logitOf(std::uint32_t key) {
  return __uint_as_float((key & 0x80000000U) != 0 ? key & 0x7FFFFFFFU : ~key);
}

// The better of two candidates is the larger number: a larger logit, then a smaller token.
__device__ inline std::uint64_t candidate(float logit, int token) {
  return static_cast<std::uint64_t>(keyOf(logit)) << 32 | ~static_cast<std::uint32_t>(token);
}
__device__ inline int tokenOf(std::uint64_t best) {
  return static_cast<int>(~static_cast<std::uint32_t>(best));
}
__device__ inline std::uint32_t keyOf(std::uint64_t best) {
  return static_cast<std::uint32_t>(best >> 32);
}

// exp((logit - most) / temperature), the most likely token's weight being 1. Sums are made in fixed point: their order
// does not matter, and 2^18 weights fit.
struct Weights {
  float most;
  float temperature;
  float minP;
  // Logits below have no weight: what is left of it, or minP, is surely larger.
  float least;

  static constexpr float one = 17592186044416.0F;  // 2^44

  __device__ Weights(float mostOfAll, float temperatureOfAll, float minPOfAll)
      : most(mostOfAll), temperature(temperatureOfAll), minP(minPOfAll) {
    least = most - temperature * fminf(31, 1.001F * -logf(minP) + 0.001F);
    // What no number is not least.
    if (!(least < most)) least = -INFINITY;
  }

  __device__ float of(float logit) const { return logit == most ? 1 : expf((logit - most) / temperature); }
  __device__ std::uint64_t fixed(float logit) const {
    if (logit < least) return 0;
    const float weight = of(logit);
    return weight < minP ? 0 : static_cast<std::uint64_t>(weight * one);
  }
};

// The largest whole number that is not above total * bits / 2^24.
__device__ inline std::uint64_t fractionOf(std::uint64_t total, std::uint32_t bits) {
  return (total >> 24) * bits + ((total & 0xFFFFFF) * bits >> 24);
}

// A logit after penalties, as lib/backend/cpu/sampler.ts makes them: in double precision, rounded after each step.
__device__ inline float penalised(const SlotSampling& s, float logit, std::int32_t seen) {
  if (seen == 0) return logit;
  if (s.repetitionPenalty != 1) {
    const double penalty = s.repetitionPenalty;
    logit = static_cast<float>(logit > 0 ? logit / penalty : logit * penalty);
  }
  const std::int32_t count = seen & 0x7FFFFFFF;
  if (count > 0)
    logit = static_cast<float>(
        logit - (static_cast<double>(s.presencePenalty) + static_cast<double>(s.frequencyPenalty) * count));
  return logit;
}

__device__ inline bool adjusts(const SlotSampling& s) {
  return s.counts != nullptr || s.biases > 0;
}

__device__ inline int partsOf(const SampleParameters& p) {
  return divideUp(p.vocabulary, samplePart);
}
__device__ inline PartState* partStates(const SampleParameters& p, int row) {
  return static_cast<PartState*>(p.workspace) + static_cast<std::size_t>(row) * partsOf(p);
}
enum class LogitKind : std::int32_t { adjusted, raw };

// The best candidate() of each warp of each part; 0 where a warp had none.
__device__ inline int warpBestsOf(const SampleParameters& p) {
  return partsOf(p) * sampleScanWarps;
}
__device__ inline std::uint64_t* warpBests(const SampleParameters& p, int row, LogitKind kind) {
  auto* begin = reinterpret_cast<std::uint64_t*>(static_cast<PartState*>(p.workspace) +
                                                 static_cast<std::size_t>(p.rows) * partsOf(p));
  return begin + (static_cast<std::size_t>(row) * 2 + static_cast<int>(kind)) * warpBestsOf(p);
}
__device__ inline float* adjustedLogits(const SampleParameters& p, int row) {
  auto* begin = reinterpret_cast<float*>(warpBests(p, p.rows, LogitKind::adjusted));
  return begin + static_cast<std::size_t>(row) * roundUp(p.vocabulary, 4);
}
__device__ inline const float* rawLogits(const SampleParameters& p, int row) {
  return p.logits + static_cast<std::size_t>(row) * p.vocabulary;
}

}  // namespace tensorrt_node::kernels
