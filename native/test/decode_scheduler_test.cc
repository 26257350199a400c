// Requests through the scheduler, with a model whose tokens show every mistake; and every way they can end.
#include "decode/scheduler.h"

#include <atomic>
#include <future>
#include <limits>
#include <numeric>
#include <stop_token>
#include <thread>

#include "cuda/error.h"
#include "decode_replies.h"
#include "decode_toy.h"
#include "tensorrt/error.h"

namespace cuda = tensorrt_node::cuda;
namespace decode = tensorrt_node::decode;
namespace kernels = tensorrt_node::kernels;

namespace {

std::vector<std::int32_t> prompt(std::int32_t first, std::size_t count) {
  std::vector<std::int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

decode::Request request(std::vector<std::int32_t> tokens, std::int32_t maxNewTokens = 8) {
  decode::Request made;
  made.tokens = std::move(tokens);
  made.maxNewTokens = maxNewTokens;
  return made;
}

std::string text(const std::vector<std::int32_t>& tokens) {
  std::string all;
  for (const auto token : tokens) all += std::to_string(token) + ' ';
  return all;
}

std::string expected(const decode::Request& request) {
  return text(test::toyReply(request.tokens, request.maxNewTokens, request.sampling));
}

std::exception_ptr planted(const char* what) {
  return std::make_exception_ptr(std::runtime_error(what));
}

struct Setup {
  explicit Setup(test::ToyOptions toy = {}, decode::SchedulerOptions options = {.maxContext = 512, .policy = {}})
      : scheduler(std::make_unique<test::ToyRunner>(std::move(toy)), options, replies) {
    replies->heard = [this](const decode::Batch& batch) {
      scheduler.consumed(batch.request, static_cast<std::int32_t>(batch.tokens.size()));
    };
  }

  // Nothing is in use, and everything that was promised was kept.
  void checkIdle() {
    CHECK_EQUAL(replies->broken(), "");
    const auto stats = scheduler.stats();
    CHECK_EQUAL(stats.waiting, 0U);
    CHECK_EQUAL(stats.slotsInUse, 0U);
    CHECK_EQUAL(stats.pagesInUse, 0U);
  }

  void checkReply(decode::RequestId id, const decode::Request& asked, const char* end = "length") {
    const auto reply = replies->ended(id);
    CHECK_EQUAL(reply.end(), end);
    CHECK_EQUAL(text(reply.tokens), expected(asked));
  }

  // Works as ever.
  void checkWorks(decode::RequestId id) {
    const auto asked = request(prompt(static_cast<std::int32_t>(id), 100));
    scheduler.submit(id, asked);
    checkReply(id, asked);
  }

  std::shared_ptr<test::Replies> replies = std::make_shared<test::Replies>();
  decode::Scheduler scheduler;
};

// Holds the scheduler up in a call until it is told to go on.
class Gate {
 public:
  void pass() {
    if (!closed_) return;
    reached_.set_value();
    opened_.get_future().wait();
    closed_ = false;
  }
  void reached() { reached_.get_future().wait(); }
  void open() { opened_.set_value(); }

 private:
  std::atomic<bool> closed_ = true;
  std::promise<void> reached_;
  std::promise<void> opened_;
};

}  // namespace

TEST(decode_one_request) {
  Setup setup;
  const auto asked = request(prompt(0, 300), 20);
  setup.scheduler.submit(1, asked);
  setup.checkReply(1, asked);
  const auto timings = setup.replies->now(1).timings();
  CHECK_EQUAL(timings.prefilledTokens, 300);
  CHECK(timings.queue >= 0 && timings.prefill > 0 && timings.decode > 0);
  setup.checkIdle();
}

TEST(decode_one_token) {
  Setup setup;
  const auto asked = request({5}, 1);
  setup.scheduler.submit(1, asked);
  setup.checkReply(1, asked);
  CHECK_EQUAL(setup.replies->now(1).timings().decode, 0.0);
  CHECK_EQUAL(setup.scheduler.stats().decodeSteps, 0U);
  setup.checkIdle();
}

TEST(decode_ends_at_a_stop_token_which_is_delivered) {
  Setup setup;
  auto asked = request(prompt(0, 30), 20);
  asked.sampling.stopTokens = {test::toyReply(asked.tokens, 20, {})[6]};
  setup.scheduler.submit(1, asked);
  setup.checkReply(1, asked, "stop");
  CHECK_EQUAL(setup.replies->now(1).tokens.size(), 7U);
  // A stop token that is also the last one, and one that is the first.
  asked.maxNewTokens = 7;
  setup.scheduler.submit(2, asked);
  setup.checkReply(2, asked, "stop");
  asked.sampling.stopTokens = {test::toyReply(asked.tokens, 1, {})[0]};
  setup.scheduler.submit(3, asked);
  setup.checkReply(3, asked, "stop");
  CHECK_EQUAL(setup.replies->now(3).tokens.size(), 1U);
  setup.checkIdle();
}

TEST(decode_ends_where_the_context_is_full) {
  Setup setup({}, {.maxContext = 100, .policy = {}});
  auto asked = request(prompt(0, 90), 500);
  setup.scheduler.submit(1, asked);
  asked.maxNewTokens = 11;
  setup.checkReply(1, asked);
  // A full prompt still gets one token.
  auto full = request(prompt(500, 100), 500);
  setup.scheduler.submit(2, full);
  full.maxNewTokens = 1;
  setup.checkReply(2, full);
  const auto error = CHECK_THROWS((setup.scheduler.submit(3, request(prompt(0, 101))), 0), std::invalid_argument);
  CHECK_CONTAINS(error.what(), "1 to 100 tokens, got 101");
  CHECK_THROWS((setup.scheduler.submit(4, request({})), 0), std::invalid_argument);
  CHECK_THROWS((setup.scheduler.submit(5, request({1}, 0)), 0), std::invalid_argument);
  setup.checkIdle();
}

TEST(decode_refuses_a_context_that_the_cache_cannot_hold) {
  const auto error = CHECK_THROWS(Setup({}, {.maxContext = 1025, .policy = {}}), std::invalid_argument);
  CHECK_CONTAINS(error.what(), "takes 17 pages, there are 64, and a slot has 16");
}

TEST(decode_many_at_once_as_each_alone) {
  test::ToyOptions toy;
  toy.slowest = std::chrono::microseconds(200);
  toy.limits.decodeRows = 3;
  Setup setup(toy);
  std::vector<decode::Request> all;
  for (int i = 0; i < 24; ++i) {
    all.push_back(request(prompt(i % 6, static_cast<std::size_t>(1 + i * 17 % 400)), 1 + i * 7 % 60));
    all.back().sampling.seed = static_cast<std::uint32_t>(i);
    setup.scheduler.submit(static_cast<decode::RequestId>(i), all.back());
  }
  for (std::size_t i = 0; i < all.size(); ++i) setup.checkReply(i, all[i]);
  setup.checkIdle();
}

TEST(decode_reports_logprobs_if_asked) {
  Setup setup;
  auto asked = request({1, 2, 3}, 2);
  asked.sampling.logprobs = 3;
  setup.scheduler.submit(1, asked);
  const auto token = setup.replies->ended(1).details.at(1);
  CHECK_EQUAL(token.top.size(), 3U);
  CHECK_EQUAL(token.top[2].token, token.token + 2);
  CHECK_EQUAL(token.top[2].logprob, -2.0F);
  setup.checkIdle();
}

TEST(decode_tells_of_tokens_before_it_queues_more) {
  Gate gate;
  int decodes = 0;
  test::ToyOptions toy;
  toy.before = [&](const std::string& call) {
    // The first is queued behind the prompt.
    if (call == "decode" && ++decodes == 2) gate.pass();
  };
  Setup setup(toy, {.maxContext = 512, .stepsInFlight = 2, .policy = {}});
  const auto asked = request({1, 2, 3}, 5);
  setup.scheduler.submit(1, asked);
  gate.reached();
  CHECK(!setup.replies->now(1).tokens.empty());
  gate.open();
  setup.checkReply(1, asked);
  setup.checkIdle();
}

TEST(decode_runs_no_prompt_twice) {
  Setup setup;
  const auto asked = request(prompt(0, 300), 4);
  setup.scheduler.submit(1, asked);
  setup.checkReply(1, asked);
  setup.scheduler.submit(2, asked);
  setup.checkReply(2, asked);
  CHECK_EQUAL(setup.replies->now(2).timings().prefilledTokens, 1);
  auto other = request(prompt(0, 300), 4);
  other.tokens[200] = 7;
  setup.scheduler.submit(3, other);
  setup.checkReply(3, other);
  CHECK_EQUAL(setup.replies->now(3).timings().prefilledTokens, 100);
  setup.checkIdle();
}

TEST(decode_runs_whole_prompts_if_asked) {
  Setup setup({},
              {.maxContext = 512, .reusePrefixes = false, .policy = {.chunkBesideStreams = 64, .fixedChunks = true}});
  setup.scheduler.createSequence(100);
  auto asked = request(prompt(0, 150), 10);
  asked.sequence = 100;
  for (decode::RequestId id = 1; id < 4; ++id) {
    setup.scheduler.submit(id, asked);
    setup.checkReply(id, asked);
    CHECK_EQUAL(setup.replies->now(id).timings().prefilledTokens, static_cast<std::int32_t>(asked.tokens.size()));
    // At 64 and 128.
    CHECK_EQUAL(setup.scheduler.stats().prefillSteps, 3 * id);
    const auto reply = setup.replies->now(id).tokens;
    asked.tokens.insert(asked.tokens.end(), reply.begin(), reply.end());
  }
  setup.scheduler.forkSequence(100, 101);
  asked.sequence = 101;
  setup.scheduler.submit(4, asked);
  setup.checkReply(4, asked);
  setup.checkIdle();
  CHECK_EQUAL(setup.scheduler.stats().pagesKept, 0U);
}

TEST(decode_requests_that_come_at_once_share_what_they_begin_with) {
  Gate gate;
  test::ToyOptions toy;
  toy.limits.slots = 8;
  toy.limits.decodeRows = 8;
  toy.before = [&](const std::string& call) {
    if (call == "decode") gate.pass();
  };
  Setup setup(toy);
  setup.scheduler.submit(0, request({1}, 2));
  gate.reached();
  // Longer than a step, so that they cannot all be read in one.
  std::vector<decode::Request> all;
  for (decode::RequestId id = 1; id < 8; ++id) {
    all.push_back(request(prompt(100, 300), 4));
    all.back().tokens.push_back(static_cast<std::int32_t>(id));
    setup.scheduler.submit(id, all.back());
  }
  gate.open();
  std::int32_t prefilled = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    setup.checkReply(i + 1, all[i]);
    prefilled += setup.replies->now(i + 1).timings().prefilledTokens;
  }
  CHECK(prefilled < 3 * 301);
  setup.checkIdle();
}

TEST(decode_a_sequence_goes_on_where_it_ended_and_where_it_parts) {
  for (const bool share : {true, false}) {
    Setup setup({}, {.maxContext = 512, .sharePrefixes = share, .policy = {}});
    setup.scheduler.createSequence(100);
    auto asked = request(prompt(0, 100), 10);
    asked.sequence = 100;
    setup.scheduler.submit(1, asked);
    setup.checkReply(1, asked);

    const auto reply = setup.replies->now(1).tokens;
    asked.tokens.insert(asked.tokens.end(), reply.begin(), reply.end());
    asked.tokens.push_back(3);
    setup.scheduler.submit(2, asked);
    setup.checkReply(2, asked);
    // The last token of the reply was never run, and the new one.
    CHECK_EQUAL(setup.replies->now(2).timings().prefilledTokens, 2);

    // Rewound into the middle of a page, to say something else.
    asked.tokens.resize(90);
    asked.tokens.push_back(77);
    setup.scheduler.submit(3, asked);
    setup.checkReply(3, asked);
    CHECK_EQUAL(setup.replies->now(3).timings().prefilledTokens, 1);

    // Another sequence sees it only where prefixes are shared, or where it is a fork.
    setup.scheduler.createSequence(101);
    setup.scheduler.forkSequence(100, 102);
    setup.scheduler.forkSequence(999, 103);
    const std::int32_t unshared = share ? 1 : 91;
    for (const decode::SequenceId sequence : {101, 102, 103}) {
      asked.sequence = sequence;
      setup.scheduler.submit(sequence, asked);
      setup.checkReply(sequence, asked);
      CHECK_EQUAL(setup.replies->now(sequence).timings().prefilledTokens, sequence == 102 ? 1 : unshared);
    }
    setup.checkIdle();
  }
}

TEST(decode_requests_on_one_sequence_wait_for_each_other) {
  Gate gate;
  test::ToyOptions toy;
  toy.before = [&](const std::string& call) {
    if (call == "decode") gate.pass();
  };
  Setup setup(toy);
  setup.scheduler.createSequence(100);
  auto first = request(prompt(0, 10), 50);
  first.sequence = 100;
  auto second = request(prompt(0, 20), 5);
  second.sequence = 100;
  const auto third = request(prompt(50, 20), 1);
  setup.scheduler.submit(1, first);
  gate.reached();
  setup.scheduler.submit(2, second);
  setup.scheduler.submit(3, third);
  gate.open();
  // Others overtake it.
  setup.checkReply(3, third);
  CHECK(!setup.replies->now(1).ending);
  setup.checkReply(1, first);
  setup.checkReply(2, second);
  setup.checkIdle();
}

TEST(decode_disposing_a_sequence_aborts_its_request_and_fails_those_that_wait) {
  Gate gate;
  test::ToyOptions toy;
  toy.before = [&](const std::string& call) {
    if (call == "decode") gate.pass();
  };
  Setup setup(toy);
  setup.scheduler.createSequence(100);
  auto asked = request(prompt(0, 10), 400);
  asked.sequence = 100;
  setup.scheduler.submit(1, asked);
  gate.reached();
  setup.scheduler.submit(2, asked);
  setup.scheduler.disposeSequence(100);
  setup.scheduler.disposeSequence(100);
  setup.scheduler.submit(3, asked);
  gate.open();
  CHECK_EQUAL(setup.replies->ended(1).end(), "aborted");
  setup.replies->ended(2).error<decode::DisposedError>();
  setup.replies->ended(3).error<decode::DisposedError>();
  setup.checkWorks(4);
  setup.checkIdle();
}

TEST(decode_aborts_within_two_steps_and_frees_the_slot_with_steps_under_way) {
  test::ToyOptions toy;
  toy.slowest = std::chrono::microseconds(500);
  toy.limits.slots = 1;
  Setup setup(toy, {.maxContext = 512, .stepsInFlight = 3, .policy = {}});
  for (decode::RequestId id = 0; id < 20; ++id) {
    const auto asked = request(prompt(static_cast<std::int32_t>(id), 60), 400);
    setup.scheduler.submit(id, asked);
    const auto before = setup.replies->tokens(id, 1 + id % 4).tokens.size();
    setup.scheduler.abort(id);
    setup.scheduler.abort(id);
    const auto reply = setup.replies->ended(id);
    CHECK_EQUAL(reply.end(), "aborted");
    // One step may have ended before the word came, and one after it while the thread was not yet awake.
    CHECK(reply.tokens.size() < 400);
    CHECK(before <= reply.tokens.size());
    const auto whole = test::toyReply(asked.tokens, 400, {});
    CHECK(std::equal(reply.tokens.begin(), reply.tokens.end(), whole.begin()));
  }
  setup.checkWorks(100);
  setup.scheduler.abort(99);
  setup.checkIdle();
}

TEST(decode_aborts_what_waits_at_once) {
  Gate gate;
  test::ToyOptions toy;
  toy.limits.slots = 1;
  toy.before = [&](const std::string& call) {
    if (call == "decode") gate.pass();
  };
  Setup setup(toy);
  const auto asked = request(prompt(0, 10), 50);
  setup.scheduler.submit(1, asked);
  gate.reached();
  setup.scheduler.submit(2, request(prompt(5, 10)));
  setup.scheduler.abort(2);
  gate.open();
  const auto reply = setup.replies->ended(2);
  CHECK_EQUAL(reply.end(), "aborted");
  CHECK_EQUAL(reply.timings().prefilledTokens, 0);
  CHECK(!setup.replies->now(1).ending);
  setup.checkReply(1, asked);
  setup.checkIdle();
}

TEST(decode_refuses_in_words_what_the_queue_cannot_hold) {
  Gate gate;
  test::ToyOptions toy;
  toy.limits.slots = 1;
  Setup setup(toy, {.maxContext = 512, .maxWaiting = 2, .policy = {}});
  setup.replies->heard = [&](const auto&) { gate.pass(); };
  setup.scheduler.submit(1, request(prompt(0, 10)));
  gate.reached();
  setup.scheduler.submit(2, request(prompt(0, 10)));
  setup.scheduler.submit(3, request(prompt(0, 10)));
  const auto error = CHECK_THROWS((setup.scheduler.submit(4, request(prompt(0, 10))), 0), decode::QueueFullError);
  CHECK_CONTAINS(error.what(), "2 requests wait already");
  gate.open();
  setup.checkReply(3, request(prompt(0, 10)));
  setup.checkWorks(5);
  setup.checkWorks(6);
  setup.checkIdle();
}

TEST(decode_waits_for_memory_in_the_order_of_requests) {
  test::ToyOptions toy;
  toy.limits.pages = 8;
  toy.slowest = std::chrono::microseconds(100);
  Setup setup(toy);
  // Each takes five pages of eight.
  std::vector<decode::Request> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(request(prompt(i * 50, 10), 300));
    setup.scheduler.submit(static_cast<decode::RequestId>(i), all.back());
  }
  const auto small = request(prompt(700, 10), 2);
  setup.scheduler.submit(10, small);
  setup.checkReply(10, small);
  // Nobody overtook the large ones that waited before it, but for the last, beside which it fits.
  for (std::size_t i = 0; i < 4; ++i) CHECK(setup.replies->now(i).ending);
  for (std::size_t i = 0; i < all.size(); ++i) setup.checkReply(i, all[i]);
  setup.checkIdle();
}

TEST(decode_gives_up_what_is_kept_when_memory_is_wanted) {
  test::ToyOptions toy;
  toy.limits.pages = 8;
  Setup setup(toy);
  for (decode::RequestId id = 0; id < 30; ++id) {
    const auto asked = request(prompt(static_cast<std::int32_t>(id % 7) * 100, 150), 100);
    setup.scheduler.submit(id, asked);
    setup.checkReply(id, asked);
  }
  CHECK(setup.scheduler.stats().pagesKept <= 8);
  setup.checkIdle();
}

TEST(decode_pauses_the_request_of_a_slow_consumer_alone) {
  std::atomic<bool> consuming = false;
  Setup setup({}, {.maxContext = 512, .window = 10, .policy = {}});
  setup.replies->heard = [&](const decode::Batch& batch) {
    if (batch.request != 1 || consuming)
      setup.scheduler.consumed(batch.request, static_cast<std::int32_t>(batch.tokens.size()));
  };
  const auto slow = request(prompt(0, 10), 100);
  const auto quick = request(prompt(500, 10), 200);
  setup.scheduler.submit(1, slow);
  setup.replies->tokens(1, 10);
  setup.scheduler.submit(2, quick);
  setup.checkReply(2, quick);
  CHECK_EQUAL(setup.replies->now(1).tokens.size(), 10U);
  consuming = true;
  setup.scheduler.consumed(1, 10);
  setup.checkReply(1, slow);
  // One that is paused for good can still be aborted.
  consuming = false;
  setup.scheduler.submit(3, slow);
  setup.replies->tokens(3, 10);
  setup.scheduler.abort(3);
  CHECK_EQUAL(setup.replies->ended(3).end(), "aborted");
  setup.checkIdle();
}

TEST(decode_streams_go_on_beside_long_prompts) {
  test::ToyOptions toy;
  std::vector<std::string> calls;
  toy.before = [&](const std::string& call) {
    if (call == "prefill" || call == "decode") calls.push_back(call);
  };
  Gate gate;
  Setup setup(toy, {.maxContext = 512, .policy = {.chunk = 256, .chunkBesideStreams = 32}});
  std::atomic<bool> first = true;
  setup.replies->heard = [&](const decode::Batch& batch) {
    if (batch.request == 1 && first.exchange(false)) gate.pass();
  };
  const auto stream = request(prompt(0, 10), 100);
  const auto joining = request(prompt(200, 320), 5);
  setup.scheduler.submit(1, stream);
  gate.reached();
  setup.scheduler.submit(2, joining);
  gate.open();
  setup.checkReply(1, stream);
  setup.checkReply(2, joining);
  setup.scheduler.stop(planted("over"));
  // Ten pieces of the prompt, and never two of them with no decode step between.
  CHECK_EQUAL(std::count(calls.begin(), calls.end(), "prefill"), 11);
  for (std::size_t i = 1; i < calls.size(); ++i) CHECK(calls[i] == "decode" || calls[i - 1] == "decode" || i < 2);
}

TEST(decode_scores_beside_streams) {
  test::ToyOptions toy;
  toy.slowest = std::chrono::microseconds(100);
  Setup setup(toy);
  const auto stream = request(prompt(0, 10), 100);
  setup.scheduler.submit(1, stream);
  const auto tokens = prompt(300, 100);
  std::promise<std::vector<float>> scored;
  setup.scheduler.score(tokens, [&](std::vector<float> logits, std::exception_ptr error) {
    CHECK(!error);
    scored.set_value(std::move(logits));
  });
  const auto logits = scored.get_future().get();
  CHECK_EQUAL(logits.size(), 100U * test::toyVocabulary);
  for (const std::size_t row : {0U, 63U, 64U, 99U})
    for (const std::int32_t token : {0, 500, 999})
      CHECK_EQUAL(logits[row * test::toyVocabulary + static_cast<std::size_t>(token)],
                  test::toyLogit(std::span(tokens).first(row + 1), token));
  setup.checkReply(1, stream);
  setup.checkWorks(2);
  setup.checkIdle();
  CHECK_THROWS((setup.scheduler.score({}, {}), 0), std::invalid_argument);
}

TEST(decode_memory_that_runs_out_ends_its_request_alone) {
  for (const std::string failing : {"begin", "copyPage", "prefill", "decode", "score"}) {
    // Within the scheduler's thread.
    int failures = 0;
    std::atomic<bool> armed = false;
    test::ToyOptions toy;
    toy.before = [&](const std::string& call) {
      if (call != failing || !armed) return;
      // Twice, as prefill is tried once more with less.
      if (++failures >= 2) armed = false;
      throw cuda::CudaError(CUDA_ERROR_OUT_OF_MEMORY, "cuMemAlloc", "for a test");
    };
    Setup setup(toy);
    setup.checkWorks(1);
    armed = true;
    std::vector<decode::Request> all;
    for (int i = 0; i < 6; ++i) {
      all.push_back(request(prompt(i, 110), 30));
      setup.scheduler.submit(static_cast<decode::RequestId>(10 + i), all.back());
    }
    std::promise<std::exception_ptr> scored;
    setup.scheduler.score(prompt(0, 20),
                          [&](std::vector<float>, std::exception_ptr error) { scored.set_value(error); });
    int failed = 0;
    for (int i = 0; i < 6; ++i) {
      const auto id = static_cast<decode::RequestId>(10 + i);
      const auto reply = setup.replies->ended(id);
      if (reply.end() == "length") {
        CHECK_EQUAL(text(reply.tokens), expected(all[static_cast<std::size_t>(i)]));
      } else {
        CHECK_EQUAL(reply.error<cuda::CudaError>().result(), CUDA_ERROR_OUT_OF_MEMORY);
        ++failed;
      }
    }
    const auto error = scored.get_future().get();
    if (failing == "score") CHECK(error != nullptr);
    if (failing != "score" && failing != "begin") CHECK(failed >= 1);
    CHECK(failed <= 2);
    armed = false;
    setup.checkWorks(2);
    setup.checkIdle();
  }
}

TEST(decode_logits_that_are_not_numbers_end_their_request) {
  Setup setup;
  const auto good = request(prompt(0, 10), 50);
  auto bad = request(prompt(5, 10), 50);
  bad.sampling.temperature = std::numeric_limits<float>::quiet_NaN();
  setup.scheduler.submit(1, good);
  setup.scheduler.submit(2, bad);
  const auto error = setup.replies->ended(2).error<decode::SamplingError>();
  CHECK_CONTAINS(error.what(), "not numbers");
  CHECK_CONTAINS(error.hint(), "too large for fp16");
  CHECK_CONTAINS(decode::SamplingError(kernels::noneLeft).what(), "no token is left");
  setup.checkReply(1, good);
  setup.checkIdle();
}

TEST(decode_an_error_of_the_gpu_ends_everything_with_it) {
  for (const std::string failing : {"begin", "prefill", "decode", "wait", "done"}) {
    std::atomic<bool> armed = false;
    test::ToyOptions toy;
    toy.slowest = std::chrono::microseconds(300);
    toy.limits.slots = 2;
    toy.before = [&](const std::string& call) {
      if (armed && call == failing) throw cuda::CudaError(CUDA_ERROR_LAUNCH_FAILED, "cuGraphLaunch", "for a test");
    };
    Setup setup(toy);
    for (decode::RequestId id = 0; id < 6; ++id)
      setup.scheduler.submit(id, request(prompt(static_cast<std::int32_t>(id), 10), 400));
    setup.replies->tokens(0, 3);
    armed = true;
    // One that begins, for the calls of that.
    setup.scheduler.abort(0);
    for (decode::RequestId id = 1; id < 6; ++id)
      CHECK_EQUAL(setup.replies->ended(id).error<cuda::CudaError>().result(), CUDA_ERROR_LAUNCH_FAILED);
    CHECK(setup.replies->ended(0).ending.has_value());
    const auto refused = CHECK_THROWS((setup.scheduler.submit(9, request({1})), 0), cuda::CudaError);
    CHECK_EQUAL(refused.result(), CUDA_ERROR_LAUNCH_FAILED);
    CHECK_THROWS((setup.scheduler.score({1}, {}), 0), cuda::CudaError);
    setup.checkIdle();
  }
}

TEST(decode_stops_at_any_moment) {
  for (int delay = 0; delay < 20; ++delay) {
    test::ToyOptions toy;
    toy.slowest = std::chrono::microseconds(200);
    auto setup = std::make_unique<Setup>(toy);
    const auto replies = setup->replies;
    std::atomic<int> scores = 0;
    setup->scheduler.createSequence(100);
    for (decode::RequestId id = 0; id < 10; ++id) {
      auto asked = request(prompt(static_cast<std::int32_t>(id), 50), 200);
      if (id % 3 == 0) asked.sequence = 100;
      setup->scheduler.submit(id, std::move(asked));
      setup->scheduler.score(prompt(0, 30), [&](std::vector<float>, std::exception_ptr) { ++scores; });
    }
    std::this_thread::sleep_for(std::chrono::microseconds(delay * 150));
    std::thread late([&] {
      try {
        setup->scheduler.submit(50, request({1}));
      } catch (const std::runtime_error&) {
        // It came too late, and heard so.
        return;
      }
      CHECK(replies->ended(50).ending.has_value());
    });
    if (delay % 2 == 0) setup->scheduler.stop(planted("over"));
    late.join();
    setup.reset();
    CHECK_EQUAL(replies->broken(), "");
    for (decode::RequestId id = 0; id < 10; ++id) CHECK(replies->now(id).ending.has_value());
    CHECK_EQUAL(scores.load(), 10);
  }
}

TEST(decode_sinks_may_call_the_scheduler) {
  Setup setup;
  setup.replies->heard = [&](const decode::Batch& batch) {
    setup.scheduler.abort(batch.request);
    if (batch.ending && batch.request < 5) setup.scheduler.submit(batch.request + 1, request(prompt(0, 10), 200));
  };
  setup.scheduler.submit(1, request(prompt(0, 10), 200));
  CHECK_EQUAL(setup.replies->ended(5).end(), "aborted");
  setup.scheduler.stop(planted("over"));
  setup.checkIdle();
}

namespace {

// What timing layers gave.
struct Timed {
  std::promise<decode::StepLayers> promise;
  decode::LayersTold told() {
    return [this](decode::StepLayers layers, std::exception_ptr error) {
      if (error) return promise.set_exception(error);
      promise.set_value(std::move(layers));
    };
  }
};

}  // namespace

TEST(decode_times_layers_between_requests) {
  Setup setup;
  Timed timed;
  setup.scheduler.layers({.kind = decode::StepKind::decode, .rows = 3, .context = 40, .runs = 2}, {}, timed.told());
  const auto wanted = request(prompt(5, 20));
  setup.scheduler.submit(1, wanted);
  const decode::StepLayers layers = timed.promise.get_future().get();
  CHECK_EQUAL(layers.rows, 3);
  CHECK(layers.parts.at(0).layers.at(0).milliseconds == std::vector<float>({3, 3}));
  CHECK_EQUAL(text(setup.replies->ended(1).tokens), expected(wanted));
  setup.checkIdle();
}

TEST(decode_layers_end_when_they_are_stopped_and_with_the_scheduler) {
  const decode::StepLayersRequest endless{.runs = std::numeric_limits<std::size_t>::max()};
  {
    Setup setup;
    std::stop_source stop;
    Timed timed;
    setup.scheduler.layers(endless, stop.get_token(), timed.told());
    stop.request_stop();
    CHECK_THROWS(timed.promise.get_future().get(), tensorrt_node::tensorrt::AbortedError);
    setup.checkIdle();
  }
  Timed running;
  Timed waiting;
  {
    Setup setup;
    setup.scheduler.layers(endless, {}, running.told());
    setup.scheduler.layers(endless, {}, waiting.told());
    setup.scheduler.stop(planted("the end"));
    CHECK_THROWS(setup.scheduler.layers({}, {}, running.told()), std::runtime_error);
  }
  for (Timed* each : {&running, &waiting})
    CHECK_EQUAL(std::string(CHECK_THROWS(each->promise.get_future().get(), std::runtime_error).what()), "the end");
}
