// References: the choice of a token, as lib/backend/cpu/sampler.ts makes it.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <span>

#include "element.h"
#include "references.h"

namespace simulator::kernels {

namespace {

constexpr std::int32_t inPrompt = std::numeric_limits<std::int32_t>::min();

using Tokens = std::vector<std::int32_t>;

// [0, 1): the upper 24 bits of Philox4x32-10 (Salmon et al. 2011) with the key (seed, 0) and the counter
// (position, 0, 0, 0).
double uniform(std::uint32_t seed, std::uint32_t position) {
  std::uint32_t c[4]{position, 0, 0, 0};
  std::uint32_t k[2]{seed, 0};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t first = 0xD2511F53ULL * c[0];
    const std::uint64_t second = 0xCD9E8D57ULL * c[2];
    const std::uint32_t next[4]{
        static_cast<std::uint32_t>(second >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(second),
        static_cast<std::uint32_t>(first >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(first)};
    std::ranges::copy(next, c);
    k[0] += 0x9E3779B9;
    k[1] += 0xBB67AE85;
  }
  return (c[0] >> 8) / 16777216.0;
}

Tokens sorted(std::span<const float> logits) {
  Tokens tokens(logits.size());
  std::iota(tokens.begin(), tokens.end(), 0);
  std::ranges::stable_sort(tokens, [&](std::int32_t a, std::int32_t b) { return logits[at(a)] > logits[at(b)]; });
  return tokens;
}

void adjust(const SlotSampling& s, std::span<float> logits) {
  for (std::size_t token = 0; s.counts != nullptr && token < logits.size(); ++token) {
    const std::int32_t count = s.counts[token] & ~inPrompt;
    double logit = static_cast<double>(logits[token]);
    if (s.counts[token] != 0 && s.repetitionPenalty != 1)
      logit = static_cast<double>(static_cast<float>(logit > 0 ? logit / static_cast<double>(s.repetitionPenalty)
                                                               : logit * static_cast<double>(s.repetitionPenalty)));
    if (count > 0) logit -= static_cast<double>(s.presencePenalty) + static_cast<double>(s.frequencyPenalty) * count;
    logits[token] = static_cast<float>(logit);
  }
  for (std::int32_t i = 0; i < s.biases; ++i)
    if (s.biasTokens[i] >= 0 && at(s.biasTokens[i]) < logits.size()) logits[at(s.biasTokens[i])] += s.biasValues[i];
}

// The tokens that may be drawn, and in the order that the draw goes through them.
Tokens candidates(const SlotSampling& s, std::span<const float> logits, const std::vector<double>& weights) {
  if (s.topK == 0 && s.topP == 1) {
    Tokens tokens(logits.size());
    std::iota(tokens.begin(), tokens.end(), 0);
    std::erase_if(tokens, [&](std::int32_t token) { return weights[at(token)] < static_cast<double>(s.minP); });
    return tokens;
  }
  Tokens tokens = sorted(logits);
  if (s.topK > 0 && at(s.topK) < tokens.size()) tokens.resize(at(s.topK));
  if (s.topP != 1) {
    double total = 0;
    for (const std::int32_t token : tokens) total += weights[at(token)];
    double reached = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      reached += weights[at(tokens[i])];
      if (reached >= static_cast<double>(s.topP) * total) {
        tokens.resize(i + 1);
        break;
      }
    }
  }
  const auto unlikely = std::ranges::find_if(
      tokens, [&](std::int32_t token) { return weights[at(token)] < static_cast<double>(s.minP); });
  tokens.erase(unlikely, tokens.end());
  return tokens;
}

std::int32_t draw(const SlotSampling& s, std::span<const float> logits, float most, std::int32_t position) {
  std::vector<double> weights(logits.size());
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] = logits[i] == most ? 1
                                   : std::exp((static_cast<double>(logits[i]) - static_cast<double>(most)) /
                                              static_cast<double>(s.temperature));
  const Tokens tokens = candidates(s, logits, weights);
  double rest = 0;
  for (const std::int32_t token : tokens) rest += weights[at(token)];
  rest *= uniform(s.seed, static_cast<std::uint32_t>(position));
  std::int32_t last = tokens.front();
  for (const std::int32_t token : tokens) {
    if (weights[at(token)] == 0) continue;
    last = token;
    rest -= weights[at(token)];
    if (rest < 0) break;
  }
  return last;
}

std::int32_t choose(const SlotSampling& s, std::span<const float> logits, std::int32_t position) {
  const auto most = std::ranges::max_element(logits);
  if (std::ranges::any_of(logits, [](float logit) { return std::isnan(logit); })) return notNumbers;
  if (*most == -std::numeric_limits<float>::infinity()) return noneLeft;
  if (s.temperature == 0) return static_cast<std::int32_t>(most - logits.begin());
  return draw(s, logits, *most, position);
}

void report(const SlotSampling& s, std::span<const float> logits, TokenRecord& record) {
  const auto most = static_cast<double>(*std::ranges::max_element(logits));
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit) - most);
  const auto logprob = [&](std::int32_t token) {
    return static_cast<float>(static_cast<double>(logits[at(token)]) - most - std::log(total));
  };
  record.logprob = logprob(record.token);
  const Tokens tokens = sorted(logits);
  for (std::size_t i = 0; i < at(std::min(s.logprobs, maxLogprobs)) && i < tokens.size(); ++i) {
    record.topTokens[i] = tokens[i];
    record.topLogprobs[i] = logprob(tokens[i]);
  }
}

void advance(const SlotSampling& s, SlotState& state, TokenRecord& record) {
  const std::span stops(s.stopTokenIds, at(s.stopTokens));
  state.token = record.token;
  state.position += 1;
  state.remaining -= 1;
  record.finished = state.remaining <= 0 || std::ranges::find(stops, record.token) != stops.end() ? 1 : 0;
  state.running = 1 - record.finished;
  if (s.counts != nullptr) s.counts[record.token] += 1;
}

void sampleRow(const SampleParameters& p, std::int32_t row) {
  TokenRecord& record = p.records[row];
  const std::int32_t slot = p.slots[row];
  record.token = notRunning;
  record.finished = 0;
  if (slot < 0 || p.states[slot].running == 0) return;
  const SlotSampling& s = p.sampling[slot];
  const std::span raw(p.logits + at(row) * at(p.vocabulary), at(p.vocabulary));
  std::vector<float> logits(raw.begin(), raw.end());
  adjust(s, logits);
  record.token = choose(s, logits, p.states[slot].position + 1);
  if (record.token < 0) {
    record.finished = 1;
    p.states[slot].running = 0;
    return;
  }
  if (s.logprobs >= 0) report(s, raw, record);
  advance(s, p.states[slot], record);
}

}  // namespace

void sample(const SampleParameters& p) {
  for (std::int32_t row = 0; row < p.rows; ++row) sampleRow(p, row);
}

// How many slots there are the struct does not say.
std::vector<Touch> touches(const SampleParameters& p) {
  return {reads(p.logits, at(p.rows) * at(p.vocabulary) * sizeof(float)),
          reads(p.slots, at(p.rows) * sizeof(std::int32_t)), reads(p.sampling, sizeof(SlotSampling)),
          writes(p.states, sizeof(SlotState)), writes(p.records, at(p.rows) * sizeof(TokenRecord))};
}

}  // namespace simulator::kernels
