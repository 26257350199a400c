// What the scheduler queues while steps are under way: the test says when a step is done.
#include "decode/decode_loop.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"
#include "cuda/error.h"

namespace cuda = tensorrt_node::cuda;
namespace decode = tensorrt_node::decode;
namespace kernels = tensorrt_node::kernels;

namespace {

// Keeps a log of what is queued. A slot's tokens count up from 0.
class LoggedRunner final : public decode::StepRunner {
 public:
  decode::RunnerLimits limits() const override {
    return {.slots = 2,
            .pages = 16,
            .pagesPerSlot = 8,
            .prefillRows = 100,
            .decodeRows = 2,
            .scoreRows = 4,
            .vocabulary = 10};
  }
  std::size_t stepsInFlight() const override { return 4; }

  void begin(const decode::SlotStart& start) override {
    say("begin", {&start.slot, 1});
    states[start.slot] = {0, 0, start.maxNewTokens, 0};
  }
  void copyPage(decode::Page, decode::Page) override { log += "copy; "; }
  decode::StepNumber prefill(std::span<const decode::PromptRun> runs) override {
    beforeStep();
    std::vector<std::int32_t> slots;
    std::vector<std::int32_t> last;
    for (const auto& run : runs) {
      slots.push_back(run.slot);
      if (run.last) last.push_back(run.slot);
      if (run.last) states[run.slot].running = 1;
    }
    say("prefill", slots);
    return queue(last);
  }
  decode::StepNumber decode(std::span<const std::int32_t> slots) override {
    beforeStep();
    say("decode", slots);
    return queue(slots);
  }
  bool done(decode::StepNumber step) override { return step <= over; }
  void wait(decode::StepNumber step) override { over = std::max(over, step); }
  std::span<const kernels::TokenRecord> records(decode::StepNumber step) override { return steps.at(step - 1); }
  void score(const decode::PromptRun&, std::span<float> logits) override {
    beforeStep();
    log += "score; ";
    std::fill(logits.begin(), logits.end(), 1.0F);
  }

  bool suspend(std::span<const decode::Page> pages, bool keepRam) override {
    log += "suspend " + std::to_string(pages.size()) + (keepRam ? "" : " without RAM") + "; ";
    return true;
  }
  void resume() override {
    beforeResume();
    log += "resume; ";
  }
  decode::RunnerUsage usage() override { return {}; }
  decode::StepLayers layers(const decode::StepLayersRequest& request, std::span<const std::int32_t> slots,
                            const std::function<bool()>&) override {
    say("layers", slots);
    beforeLayers();
    return {.rows = request.rows, .parts = {}, .steps = {}};
  }
  std::int32_t layerRows(decode::StepKind kind, std::int32_t rows) const override {
    return rows <= (kind == decode::StepKind::decode ? 2 : 100) ? rows : 0;
  }

  // What was queued since the last time.
  std::string takeLog() { return std::exchange(log, {}); }

  // What these throw, the call throws.
  std::function<void()> beforeStep = [] {};
  std::function<void()> beforeResume = [] {};
  std::function<void()> beforeLayers = [] {};
  decode::StepNumber over = 0;
  // A slot's reply ends after this token.
  std::map<std::int32_t, std::int32_t> stopAfter;

 private:
  void say(const char* what, std::span<const std::int32_t> slots) {
    log += what;
    for (const auto slot : slots) log += ' ' + std::to_string(slot);
    log += "; ";
  }
  decode::StepNumber queue(std::span<const std::int32_t> slots) {
    std::vector<kernels::TokenRecord> records;
    for (const auto slot : slots) {
      kernels::SlotState& state = states[slot];
      kernels::TokenRecord record{};
      record.token = state.running != 0 ? state.token++ : static_cast<std::int32_t>(kernels::notRunning);
      if (--state.remaining == 0 || (stopAfter.contains(slot) && record.token == stopAfter[slot])) state.running = 0;
      record.finished = 1 - state.running;
      records.push_back(record);
    }
    steps.push_back(std::move(records));
    return steps.size();
  }

  std::string log;
  std::map<std::int32_t, kernels::SlotState> states;
  std::vector<std::vector<kernels::TokenRecord>> steps;
};

struct Setup {
  explicit Setup(decode::SchedulerOptions options = {.maxContext = 500, .policy = {}}) : loop(runner, options) {}

  void submit(decode::RequestId id, std::size_t tokens, std::int32_t maxNewTokens = 100) {
    decode::Request request;
    request.tokens.resize(tokens);
    std::iota(request.tokens.begin(), request.tokens.end(), static_cast<std::int32_t>(id) * 1000);
    request.maxNewTokens = maxNewTokens;
    request.sampling.stopTokens = {7};
    loop.apply(decode::SubmitCommand{id, std::move(request), decode::Clock::now()});
  }

  bool advance() {
    loop.settle();
    return loop.advance();
  }

  // What is queued when so many steps more are done.
  std::string turn(int done = 0) {
    runner.over += static_cast<decode::StepNumber>(done);
    advance();
    return runner.takeLog();
  }

  // "1: 3; 2: 5 stop; ": request, tokens, and how it ended if it did.
  std::string heard() {
    constexpr const char* ends[] = {"stop", "length", "aborted"};
    std::string text;
    for (const auto& batch : loop.takeBatches()) {
      text += std::to_string(batch.request) + ": " + std::to_string(batch.tokens.size());
      if (batch.ending) {
        const auto* finished = std::get_if<decode::Finished>(&*batch.ending);
        text += finished != nullptr ? std::string(" ") + ends[static_cast<int>(finished->reason)] : " failed";
      }
      text += "; ";
    }
    return text;
  }

  // Of what was asked for: "suspended; ", or what it failed with.
  decode::Settled told(std::string what) {
    return [this, what](std::exception_ptr error) {
      try {
        if (error) std::rethrow_exception(error);
        settled += what + "; ";
      } catch (const std::exception& thrown) {
        settled += what + ": " + thrown.what() + "; ";
      }
    };
  }
  std::string takeSettled() {
    for (const auto& each : loop.takeSettled()) each();
    return std::exchange(settled, {});
  }
  void suspend(decode::SuspendOptions options = {}) { loop.apply(decode::SuspendCommand{options, told("suspended")}); }
  void resume() { loop.apply(decode::ResumeCommand{told("resumed")}); }

  // What timing layers gave: "4 rows", or what it failed with.
  std::string layers(const decode::StepLayersRequest& request) {
    std::string text;
    loop.apply(decode::LayersCommand{request, [] { return false; },
                                     [&](const decode::StepLayers& layers, std::exception_ptr error) {
                                       told("timed")(error);
                                       text =
                                           error ? std::exchange(settled, {}) : std::to_string(layers.rows) + " rows";
                                       settled.clear();
                                     }});
    return text;
  }

  LoggedRunner runner;
  decode::DecodeLoop loop;
  std::string settled;
};

void lose() {
  throw decode::StepLostError(std::make_exception_ptr(std::runtime_error("a disk that is gone")));
}

}  // namespace

TEST(decode_loop_keeps_so_many_steps_under_way) {
  Setup setup({.maxContext = 500, .stepsInFlight = 3, .policy = {}});
  CHECK(!setup.advance());
  setup.submit(1, 10);
  // Of the first token nothing is known yet when the next steps are queued.
  CHECK_EQUAL(setup.turn(), "begin 0; prefill 0; decode 0; decode 0; ");
  CHECK_EQUAL(setup.turn(), "");
  CHECK_EQUAL(setup.turn(1), "decode 0; ");
  CHECK_EQUAL(setup.heard(), "1: 1; ");
  CHECK_EQUAL(setup.turn(2), "decode 0; decode 0; ");
  CHECK_EQUAL(setup.heard(), "1: 2; ");
  CHECK_EQUAL(setup.heard(), "");
}

TEST(decode_loop_queues_no_step_past_the_last_token) {
  Setup setup;
  setup.submit(1, 10, 2);
  CHECK_EQUAL(setup.turn(), "begin 0; prefill 0; decode 0; ");
  CHECK_EQUAL(setup.turn(1), "");
  CHECK_EQUAL(setup.turn(1), "");
  CHECK_EQUAL(setup.heard(), "1: 2 length; ");
  CHECK(!setup.advance());
  CHECK_EQUAL(setup.loop.stats().wastedRows, 0U);
}

TEST(decode_loop_wastes_only_what_was_under_way_when_a_slot_stopped) {
  Setup setup({.maxContext = 500, .stepsInFlight = 3, .policy = {}});
  setup.runner.stopAfter[0] = 7;
  setup.submit(1, 10);
  setup.turn();
  for (int i = 0; i < 8; ++i) setup.turn(1);
  CHECK_EQUAL(setup.heard(), "1: 8 stop; ");
  // Another one takes the slot with those steps under way.
  setup.submit(2, 10);
  setup.runner.stopAfter.clear();
  setup.runner.takeLog();
  CHECK_EQUAL(setup.turn(), "begin 0; prefill 0; ");
  setup.turn(2);
  CHECK_EQUAL(setup.loop.stats().wastedRows, 2U);
  CHECK_EQUAL(setup.heard(), "");
  setup.turn(1);
  CHECK_EQUAL(setup.heard(), "2: 1; ");
}

TEST(decode_loop_frees_the_slot_of_an_aborted_request_at_once) {
  Setup setup;
  setup.submit(1, 10);
  setup.submit(2, 10);
  setup.submit(3, 10);
  CHECK_EQUAL(setup.turn(), "begin 0; begin 1; prefill 0 1; decode 0 1; ");
  setup.loop.apply(decode::AbortCommand{1});
  CHECK_EQUAL(setup.heard(), "1: 0 aborted; ");
  // Nothing is drained: the next one begins behind the steps that are under way.
  CHECK_EQUAL(setup.turn(1), "begin 0; prefill 0; ");
  CHECK_EQUAL(setup.turn(1), "decode 0 1; ");
  // The tokens of the first one are nobody's.
  CHECK_EQUAL(setup.heard(), "2: 2; ");
  setup.turn(1);
  CHECK_EQUAL(setup.heard(), "3: 1; ");
}

TEST(decode_loop_aborts_in_the_middle_of_a_prompt) {
  Setup setup;
  setup.submit(1, 250);
  CHECK_EQUAL(setup.turn(), "begin 0; prefill 0; prefill 0; ");
  setup.loop.apply(decode::AbortCommand{1});
  setup.submit(2, 10);
  CHECK_EQUAL(setup.turn(2), "begin 0; prefill 0; decode 0; ");
  CHECK_EQUAL(setup.heard(), "1: 0 aborted; ");
  // What was read of the first is found again.
  setup.loop.apply(decode::AbortCommand{2});
  setup.submit(1, 250, 1);
  CHECK_EQUAL(setup.turn(2), "begin 0; copy; prefill 0; ");
  setup.turn(1);
  CHECK_EQUAL(setup.heard(), "2: 0 aborted; 1: 1 length; ");
}

TEST(decode_loop_lets_streams_and_prompts_take_turns) {
  Setup setup({.maxContext = 500, .policy = {.chunk = 100, .chunkBesideStreams = 50}});
  setup.submit(1, 10);
  setup.turn();
  setup.submit(2, 130);
  std::string log;
  for (int i = 0; i < 6; ++i) log += setup.turn(1);
  CHECK_EQUAL(log, "begin 1; prefill 1; decode 0; prefill 1; decode 0; prefill 1; decode 0 1; ");
}

TEST(decode_loop_pauses_a_slot_whose_tokens_nobody_takes) {
  Setup setup({.maxContext = 500, .window = 3, .policy = {}});
  setup.submit(1, 10);
  CHECK_EQUAL(setup.turn(), "begin 0; prefill 0; decode 0; ");
  CHECK_EQUAL(setup.turn(1), "decode 0; ");
  CHECK_EQUAL(setup.turn(1), "");
  setup.turn(1);
  CHECK_EQUAL(setup.heard(), "1: 3; ");
  CHECK(!setup.advance());
  setup.loop.apply(decode::ConsumedCommand{1, 1});
  CHECK_EQUAL(setup.turn(), "decode 0; ");
}

TEST(decode_loop_scores_a_piece_between_steps) {
  Setup setup;
  setup.submit(1, 10);
  setup.turn();
  std::vector<float> logits;
  setup.loop.apply(
      decode::ScoreCommand{{1, 2, 3, 4, 5, 6}, [&](std::vector<float> all, std::exception_ptr) { logits = all; }});
  CHECK_EQUAL(setup.turn(1), "begin 1; score; decode 0; ");
  CHECK_EQUAL(setup.loop.stats().slotsInUse, 2U);
  CHECK_EQUAL(setup.turn(1), "score; decode 0; ");
  CHECK_EQUAL(logits.size(), 60U);
  CHECK_EQUAL(setup.loop.stats().slotsInUse, 1U);
}

TEST(decode_loop_ends_the_requests_of_a_step_that_was_lost) {
  Setup setup;
  setup.submit(1, 10);
  setup.submit(2, 10);
  setup.turn(1);
  setup.runner.beforeStep = lose;
  setup.submit(3, 10);
  // Both of the step of streams, and then of the prompt that takes their place.
  while (setup.advance()) setup.runner.over += 1;
  CHECK_EQUAL(setup.heard(), "1: 1 failed; 2: 1 failed; 3: 0 failed; ");
  const auto stats = setup.loop.stats();
  CHECK_EQUAL(stats.lostSteps, 2U);
  CHECK_EQUAL(stats.slotsInUse, 0U);
  CHECK_EQUAL(stats.pagesInUse, 0U);
  setup.runner.beforeStep = [] {};
  setup.runner.takeLog();
  setup.heard();
  setup.submit(4, 10, 2);
  CHECK_EQUAL(setup.turn(), "begin 0; prefill 0; decode 0; ");
  setup.turn(2);
  CHECK_EQUAL(setup.heard(), "4: 2 length; ");
}

TEST(decode_loop_finds_nothing_of_what_a_lost_request_wrote) {
  const auto runs = [](bool loses) {
    Setup setup;
    setup.submit(1, 200, 20);
    setup.turn();
    setup.turn(1);
    if (loses) setup.runner.beforeStep = lose;
    for (int i = 0; i < 20; ++i) setup.turn(1);
    setup.runner.beforeStep = [] {};
    setup.heard();
    // Begins as the other one did.
    setup.loop.apply(decode::SubmitCommand{2,
                                           {.tokens =
                                                [] {
                                                  std::vector<std::int32_t> tokens(201);
                                                  std::iota(tokens.begin(), tokens.end(), 1000);
                                                  return tokens;
                                                }(),
                                            .sequence = std::nullopt,
                                            .maxNewTokens = 1,
                                            .sampling = {}},
                                           decode::Clock::now()});
    // In pieces.
    for (int i = 0; i < 4; ++i) setup.turn(1);
    for (const auto& batch : setup.loop.takeBatches())
      if (batch.ending) return std::get<decode::Finished>(*batch.ending).timings.prefilledTokens;
    return -1;
  };
  CHECK_EQUAL(runs(false), 1);
  CHECK_EQUAL(runs(true), 201);
}

TEST(decode_loop_fails_a_score_that_was_lost) {
  Setup setup;
  std::string failure;
  setup.runner.beforeStep = lose;
  setup.loop.apply(decode::ScoreCommand{{1, 2, 3}, [&](std::vector<float>, std::exception_ptr error) {
                                          failure =
                                              CHECK_THROWS(std::rethrow_exception(error), std::runtime_error).what();
                                        }});
  setup.turn();
  CHECK_EQUAL(failure, "a disk that is gone");
  CHECK_EQUAL(setup.loop.stats().slotsInUse, 0U);
}

TEST(decode_loop_is_suspended_when_nothing_runs) {
  Setup setup;
  setup.submit(1, 10, 3);
  setup.turn();
  setup.suspend();
  // What comes later waits.
  setup.submit(2, 70, 1);
  CHECK_EQUAL(setup.turn(1), "decode 0; ");
  CHECK_EQUAL(setup.takeSettled(), "");
  CHECK_EQUAL(setup.turn(1), "");
  // The first one's page is kept; the second one brings all back.
  CHECK_EQUAL(setup.turn(1), "suspend 1; resume; begin 0; prefill 0; ");
  CHECK_EQUAL(setup.takeSettled(), "suspended; ");
  CHECK_EQUAL(setup.heard(), "1: 3 length; ");
  setup.turn(1);
  CHECK_EQUAL(setup.heard(), "2: 1 length; ");

  setup.suspend({.keepRam = false});
  CHECK_EQUAL(setup.turn(), "suspend 3 without RAM; ");
  CHECK(setup.loop.stats().suspended);
  CHECK(!setup.advance());
  // Once is enough.
  setup.suspend();
  CHECK_EQUAL(setup.turn(), "");
  setup.resume();
  CHECK_EQUAL(setup.turn(), "resume; ");
  setup.resume();
  CHECK_EQUAL(setup.turn(), "");
  CHECK_EQUAL(setup.takeSettled(), "suspended; suspended; resumed; resumed; ");
  CHECK(!setup.loop.stats().suspended);
}

TEST(decode_loop_suspends_at_once_if_asked) {
  Setup setup;
  for (decode::RequestId id = 1; id <= 3; ++id) setup.submit(id, 10);
  setup.turn();
  setup.suspend({.finishRunning = false});
  CHECK_EQUAL(setup.heard(), "1: 0 failed; 2: 0 failed; 3: 0 failed; ");
  // When the steps under way are done.
  CHECK_EQUAL(setup.turn(), "");
  CHECK_EQUAL(setup.turn(2), "suspend 2; ");
  CHECK_EQUAL(setup.takeSettled(), "suspended; ");
}

TEST(decode_loop_that_is_resumed_before_it_was_suspended_goes_on) {
  Setup setup;
  setup.submit(1, 10, 3);
  setup.turn();
  setup.suspend();
  setup.resume();
  CHECK_EQUAL(setup.takeSettled(), "suspended: the model was resumed before it was suspended; resumed; ");
  setup.submit(2, 10, 1);
  CHECK_EQUAL(setup.turn(2), "begin 1; prefill 1; decode 0; ");
}

TEST(decode_loop_that_cannot_be_resumed_ends_what_waits_for_that) {
  Setup setup;
  setup.suspend();
  CHECK_EQUAL(setup.turn(), "suspend 0; ");
  setup.runner.beforeResume = [] { throw cuda::CudaError(CUDA_ERROR_OUT_OF_MEMORY, "cuMemCreate", "for a test"); };
  setup.submit(1, 10);
  setup.resume();
  bool scored = false;
  setup.loop.apply(decode::ScoreCommand{
      {1, 2, 3}, [&](std::vector<float>, std::exception_ptr error) { scored = error != nullptr; }});
  CHECK(!setup.advance());
  CHECK_EQUAL(setup.heard(), "1: 0 failed; ");
  CHECK_CONTAINS(setup.takeSettled(), "resumed: ");
  CHECK(scored);
  setup.runner.beforeResume = [] {};
  setup.submit(2, 10, 1);
  CHECK_EQUAL(setup.turn(), "resume; begin 0; prefill 0; ");
}

TEST(decode_loop_ends_suspensions_with_everything_else) {
  Setup setup;
  setup.submit(1, 10);
  setup.turn();
  setup.suspend();
  setup.loop.end(std::make_exception_ptr(std::runtime_error("over")));
  CHECK_EQUAL(setup.takeSettled(), "suspended: over; ");
}

TEST(decode_loop_times_layers_while_nothing_runs) {
  Setup setup;
  CHECK_EQUAL(setup.layers({.kind = decode::StepKind::decode, .rows = 2, .context = 300}), "2 rows");
  CHECK_EQUAL(setup.runner.takeLog(), "begin 0; begin 1; layers 0 1; ");
  CHECK_EQUAL(setup.layers({.kind = decode::StepKind::prefill, .rows = 100, .context = 400}), "100 rows");
  CHECK_EQUAL(setup.runner.takeLog(), "begin 0; layers 0; ");
  CHECK_EQUAL(setup.loop.stats().pagesInUse, 0U);
  // Slots and pages are as good as before.
  setup.submit(1, 10, 1);
  CHECK_EQUAL(setup.turn(), "begin 0; prefill 0; ");
  setup.turn(1);
  CHECK_EQUAL(setup.heard(), "1: 1 length; ");
}

TEST(decode_loop_refuses_layers_of_steps_that_there_are_not) {
  Setup setup;
  constexpr auto decoding = decode::StepKind::decode;
  CHECK_EQUAL(setup.layers({.kind = decoding, .rows = 3}), "timed: no step has 3 rows; ");
  CHECK_EQUAL(setup.layers({.kind = decoding, .rows = 0}), "timed: no step has 0 rows; ");
  CHECK_EQUAL(setup.layers({.kind = decode::StepKind::prefill, .rows = 101}), "timed: no step has 101 rows; ");
  CHECK_EQUAL(setup.layers({.kind = decoding, .rows = 1, .context = 500}),
              "timed: a sequence has at most 500 tokens, and not 501; ");
  CHECK_EQUAL(setup.layers({.kind = decoding, .rows = 1, .context = -1}),
              "timed: a sequence has at most 500 tokens, and not 0; ");
  CHECK_EQUAL(setup.runner.takeLog(), "");
  CHECK_EQUAL(setup.loop.stats().pagesInUse, 0U);
}

TEST(decode_loop_times_no_layers_beside_requests_nor_suspended) {
  Setup setup;
  setup.submit(1, 10, 2);
  const std::string busy = "timed: the model has requests under way; ";
  CHECK_EQUAL(setup.layers({}), busy);
  setup.turn();
  CHECK_EQUAL(setup.layers({}), busy);
  // Aborted, its steps are under way still.
  setup.loop.apply(decode::AbortCommand{1});
  setup.runner.takeLog();
  CHECK_EQUAL(setup.layers({}), "1 rows");
  setup.suspend();
  setup.turn();
  CHECK_EQUAL(setup.layers({}), "timed: the model is suspended; ");
}

TEST(decode_loop_goes_on_after_layers_that_fail) {
  Setup setup;
  setup.runner.beforeLayers = lose;
  CHECK_EQUAL(setup.layers({}), "timed: a disk that is gone; ");
  setup.runner.beforeLayers = [] { throw cuda::CudaError(CUDA_ERROR_OUT_OF_MEMORY, "cuMemAlloc", "full"); };
  CHECK_CONTAINS(setup.layers({}), "full");
  setup.runner.beforeLayers = [] { throw std::runtime_error("no profiler"); };
  CHECK_EQUAL(setup.layers({}), "timed: no profiler; ");
  CHECK_EQUAL(setup.loop.stats().pagesInUse, 0U);
  setup.runner.beforeLayers = [] { throw cuda::CudaError(CUDA_ERROR_ILLEGAL_ADDRESS, "cuLaunchKernel", "lost"); };
  CHECK_THROWS(setup.layers({}), cuda::CudaError);
}
