// Which step comes next, and what is in it.
#include <sstream>
#include <string>
#include <vector>

#include "check.h"
#include "decode/step_policy.h"

namespace decode = tensorrt_node::decode;

namespace {

std::string text(const std::vector<std::int32_t>& numbers) {
  std::ostringstream out;
  for (const auto number : numbers) out << number << ' ';
  return out.str();
}

std::string shares(const decode::StepPolicy& policy, const std::vector<std::int32_t>& remaining, bool streams) {
  std::vector<decode::PendingPrompt> prompts;
  for (const auto each : remaining) prompts.push_back({0, each});
  return text(policy.shares(prompts, streams));
}

const decode::PolicyOptions options{.chunk = 1000, .chunkBesideStreams = 100, .fixedChunks = false};

}  // namespace

TEST(decode_policy_takes_turns_where_both_wait) {
  decode::StepPolicy policy(options);
  CHECK_EQUAL(policy.next(false, false), decode::StepKind::none);
  CHECK_EQUAL(policy.next(false, true), decode::StepKind::prefill);
  CHECK_EQUAL(policy.next(false, true), decode::StepKind::prefill);
  for (int i = 0; i < 3; ++i) {
    CHECK_EQUAL(policy.next(true, true), decode::StepKind::decode);
    CHECK_EQUAL(policy.next(true, true), decode::StepKind::prefill);
  }
  CHECK_EQUAL(policy.next(true, false), decode::StepKind::decode);
  CHECK_EQUAL(policy.next(true, true), decode::StepKind::prefill);
}

TEST(decode_policy_bounds_prompts_beside_streams) {
  const decode::StepPolicy policy(options);
  CHECK_EQUAL(shares(policy, {600}, false), "600 ");
  CHECK_EQUAL(shares(policy, {6000}, false), "1000 ");
  CHECK_EQUAL(shares(policy, {600}, true), "100 ");
  CHECK_EQUAL(shares(policy, {60}, true), "60 ");
  CHECK_EQUAL(shares(policy, {}, true), "");
}

TEST(decode_policy_lets_short_prompts_by_and_long_ones_end) {
  const decode::StepPolicy policy(options);
  CHECK_EQUAL(shares(policy, {600, 400, 20}, true), "50 30 20 ");
  CHECK_EQUAL(shares(policy, {600, 10, 10}, true), "80 10 10 ");
  CHECK_EQUAL(shares(policy, {600, 600, 600}, true), "50 50 0 ");
  CHECK_EQUAL(shares(policy, {10, 600, 600}, true), "10 90 0 ");
}

TEST(decode_policy_cuts_prompts_at_fixed_places_if_asked) {
  auto fixed = options;
  fixed.fixedChunks = true;
  const decode::StepPolicy policy(fixed);
  CHECK_EQUAL(shares(policy, {600, 20}, false), "100 0 ");
  CHECK_EQUAL(shares(policy, {60, 20}, true), "60 0 ");
  CHECK_EQUAL(text(policy.shares(std::vector<decode::PendingPrompt>{{230, 600}}, true)), "70 ");
}
