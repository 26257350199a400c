// What is asked of a model that decodes, and what it answers; lib/backend/backend.ts in C++.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "../kernels/parameters.h"

namespace tensorrt_node::decode {

using RequestId = std::uint64_t;
using SequenceId = std::uint64_t;

// Meanings as SamplingParameters in lib/backend/backend.ts.
struct Sampling {
  float temperature = 0;
  float topP = 1;
  float minP = 0;
  float repetitionPenalty = 1;
  float presencePenalty = 0;
  float frequencyPenalty = 0;
  std::int32_t topK = 0;
  std::uint32_t seed = 0;
  // Token and what is added to its logit.
  std::vector<std::pair<std::int32_t, float>> bias;
  // Any of these ends the reply; it is delivered as the last token.
  std::vector<std::int32_t> stopTokens;
  // Most likely tokens to report with each; -1 for none, and no logprob either.
  std::int32_t logprobs = -1;
};

struct Request {
  // The whole sequence so far, at least one token. What a cache already holds of it is not run again.
  std::vector<std::int32_t> tokens;
  // One request at a time uses a sequence; the next one waits.
  std::optional<SequenceId> sequence;
  std::int32_t maxNewTokens = 1;
  Sampling sampling;
};

struct TokenLogprob {
  std::int32_t token;
  float logprob;
};

struct Token {
  std::int32_t token;
  float logprob;
  // Most likely first.
  std::vector<TokenLogprob> top;
};

enum class FinishReason { stop, length, aborted };

// Milliseconds.
struct Timings {
  // From submission until work on the prompt is queued.
  double queue = 0;
  // From then to the first token.
  double prefill = 0;
  // From the first token to the last.
  double decode = 0;
  // Tokens of the prompt that were run; the rest came from the cache.
  std::int32_t prefilledTokens = 0;
};

struct Finished {
  FinishReason reason;
  Timings timings;
};

// What happened to one request since the last time. Nothing comes after its ending, of which there is exactly one.
struct Batch {
  RequestId request;
  std::vector<Token> tokens;
  std::optional<std::variant<Finished, std::exception_ptr>> ending;
};

// More requests wait than may.
class QueueFullError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The sequence or the model is gone.
class DisposedError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The model gives its memory up, and takes nothing until it has.
class SuspendedError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// No token could be chosen. As the CPU's sampler says it.
class SamplingError : public std::runtime_error {
 public:
  // Of kernels::TokenProblem.
  explicit SamplingError(std::int32_t problem)
      : std::runtime_error(problem == kernels::noneLeft ? "no token is left to choose: each has a logit of -Infinity"
                                                        : "the model computed logits that are not numbers"),
        hint_(problem == kernels::noneLeft ? "" : "the checkpoint may be damaged, or its weights too large for fp16") {}

  const std::string& hint() const noexcept { return hint_; }

 private:
  std::string hint_;
};

}  // namespace tensorrt_node::decode
