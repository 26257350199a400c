#include "step_policy.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace tensorrt_node::decode {

StepKind StepPolicy::next(bool streams, bool prompts) noexcept {
  if (streams && prompts) return last_ = last_ == StepKind::decode ? StepKind::prefill : StepKind::decode;
  if (streams) return last_ = StepKind::decode;
  if (prompts) return last_ = StepKind::prefill;
  return StepKind::none;
}

std::vector<std::int32_t> StepPolicy::shares(std::span<const PendingPrompt> prompts, bool streams) const {
  std::vector<std::int32_t> shares(prompts.size(), 0);
  if (prompts.empty()) return shares;
  if (options_.fixedChunks) {
    const std::int32_t chunk = options_.chunkBesideStreams;
    shares[0] = std::min(prompts[0].remaining, chunk - prompts[0].position % chunk);
    return shares;
  }
  std::int32_t left = streams ? std::min(options_.chunkBesideStreams, options_.chunk) : options_.chunk;
  const auto give = [&](std::size_t prompt, std::int32_t most) {
    const std::int32_t given = std::min({prompts[prompt].remaining - shares[prompt], most, left});
    shares[prompt] += given;
    left -= given;
  };
  give(0, left - left / 2);
  std::vector<std::size_t> others(prompts.size() - 1);
  std::iota(others.begin(), others.end(), std::size_t{1});
  std::stable_sort(others.begin(), others.end(),
                   [&](std::size_t a, std::size_t b) { return prompts[a].remaining < prompts[b].remaining; });
  for (const std::size_t prompt : others) give(prompt, left);
  give(0, left);
  return shares;
}

}  // namespace tensorrt_node::decode
