// What the next step is: a token for each running stream, or a piece of the prompts that wait to be read.
//
// The two take turns, so the gap between a stream's tokens is at most one step of each; how long a piece of prompts
// takes is bounded while streams run. They do not share a step: a stream's tokens would depend, in their last bits, on
// the prompts beside it, and steps of streams alone are captured graphs of fixed shapes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tensorrt_node::decode {

struct PolicyOptions {
  // Tokens of prompts in a step, when no stream waits for it.
  std::int32_t chunk = 2048;
  // When one does: about as many as take the time of a decode step, which reads all weights once.
  std::int32_t chunkBesideStreams = 128;
  // A prompt is always cut at multiples of chunkBesideStreams, and alone in its step: its keys and values do not depend
  // on what runs beside it. Nor on what ran before, where prefixes are not shared.
  bool fixedChunks = false;
};

// Tokens of prompts that a step has time for while weights come over a link, of which that share is streamed: it takes
// as long however few rows it has. A row takes an operation for each byte of 16-bit weights, of which a large GPU does
// about 4e14 a second; a fast link brings 5e10 bytes a second.
constexpr std::int32_t rowsWhileStreaming(double share) noexcept {
  return static_cast<std::int32_t>(share * (4e14 / 5e10));
}

enum class StepKind { none, decode, prefill };

// A prompt that is not all read yet.
struct PendingPrompt {
  // Tokens before those that remain.
  std::int32_t position;
  std::int32_t remaining;
};

class StepPolicy {
 public:
  explicit StepPolicy(const PolicyOptions& options) : options_(options) {}

  // To be queued now, after those of earlier calls.
  StepKind next(bool streams, bool prompts) noexcept;

  // Tokens of each prompt, the oldest first, in a prefill step. Half of the step is the oldest one's, so that it ends;
  // the other half goes to those that need least, so that they need not wait for a long one.
  std::vector<std::int32_t> shares(std::span<const PendingPrompt> prompts, bool streams) const;

 private:
  PolicyOptions options_;
  StepKind last_ = StepKind::none;
};

}  // namespace tensorrt_node::decode
