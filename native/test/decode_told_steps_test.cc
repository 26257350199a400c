// What profiles are told of the steps that the scheduler queues.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "decode/decode_loop.h"
#include "decode_toy.h"
#include "profile/step.h"

namespace decode = tensorrt_node::decode;
namespace profile = tensorrt_node::profile;

namespace {

// Ends what it began.
struct Telling {
  Telling() { profile::StepQueue::instance().open(false); }
  ~Telling() { profile::StepQueue::instance().close(); }
  Telling(const Telling&) = delete;
  Telling& operator=(const Telling&) = delete;
};

decode::SubmitCommand request(decode::RequestId id, std::size_t tokens, std::int32_t maxNewTokens) {
  decode::Request made;
  made.tokens.assign(tokens, static_cast<std::int32_t>(id));
  made.maxNewTokens = maxNewTokens;
  return {id, std::move(made), decode::Clock::now()};
}

// Until all have ended.
void run(decode::DecodeLoop& loop, std::size_t requests) {
  std::size_t ended = 0;
  while (ended < requests) {
    loop.settle();
    for (const decode::Batch& batch : loop.takeBatches())
      if (batch.ending) ++ended;
    loop.advance();
    loop.await();
  }
}

}  // namespace

TEST(steps_are_told_with_their_requests_and_tokens) {
  test::ToyRunner runner;
  decode::SchedulerOptions options{.maxContext = 256, .policy = {}};
  options.model = "toy";
  options.sharePrefixes = false;
  decode::DecodeLoop loop(runner, options);
  const Telling telling;
  const std::map<decode::RequestId, std::pair<std::size_t, std::int32_t>> requests{
      {7, {90, 5}}, {8, {3, 20}}, {9, {200, 1}}};
  for (const auto& [id, sizes] : requests) loop.apply(request(id, sizes.first, sizes.second));
  run(loop, requests.size());

  std::map<decode::RequestId, std::size_t> prompts;
  std::map<decode::RequestId, std::int32_t> chosen;
  std::uint64_t last = 0;
  std::int64_t end = 0;
  for (const profile::StepRecord& step : profile::StepQueue::instance().take()) {
    CHECK_EQUAL(*step.model, "toy");
    CHECK(step.number > last);
    CHECK(end <= step.begin && step.begin <= step.end);
    last = step.number;
    end = step.end;
    std::uint32_t tokens = 0;
    for (const profile::ServedRequest& each : step.requests) tokens += each.tokens;
    CHECK_EQUAL(step.rows, tokens);
    for (const profile::ServedRequest& each : step.requests) {
      if (step.phase == profile::Phase::prefill) {
        prompts[each.number] += each.tokens;
      } else {
        CHECK(step.phase == profile::Phase::decode);
        CHECK_EQUAL(each.tokens, 1U);
        ++chosen[each.number];
      }
    }
  }
  for (const auto& [id, sizes] : requests) {
    CHECK_EQUAL(prompts[id], sizes.first);
    // The prefill chose the first.
    CHECK_EQUAL(chosen[id], sizes.second - 1);
  }
}

TEST(steps_that_could_not_be_queued_are_told_as_they_were_tried) {
  int failures = 1;
  test::ToyOptions toy;
  toy.before = [&](const char* call) {
    if (std::string(call) == "prefill" && failures-- > 0)
      throw decode::StepLostError(std::make_exception_ptr(std::runtime_error("no disk")));
  };
  test::ToyRunner runner(toy);
  decode::DecodeLoop loop(runner, {.maxContext = 256, .policy = {}});
  const Telling telling;
  loop.apply(request(1, 10, 2));
  run(loop, 1);
  loop.apply(request(2, 10, 2));
  run(loop, 1);
  std::string told;
  for (const profile::StepRecord& step : profile::StepQueue::instance().take())
    told += std::string(profile::nameOf(step.phase)) + " " + std::to_string(step.requests.at(0).number) + "; ";
  CHECK_EQUAL(told, "prefill 1; prefill 2; decode 2; ");
  CHECK(profile::Step::current() == nullptr);
}
