// Thousands of requests of all kinds at once, on few slots and little memory: each gets the tokens that it would get
// alone, and nothing is lost.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

#include "decode/scheduler.h"
#include "decode_replies.h"
#include "decode_toy.h"

namespace decode = tensorrt_node::decode;

namespace {

constexpr std::int32_t context = 400;
constexpr std::size_t mostWaiting = 12;
constexpr int clients = 4;
constexpr int requestsOfEach = 500;
constexpr const char* lost = "the weights did not come";

struct Asked {
  decode::RequestId id;
  decode::Request request;
  // Its client aborts it, or disposes of its sequence.
  bool mayAbort = false;
  bool mayDispose = false;
};

// Tells the scheduler late what was consumed, of some requests.
class SlowConsumer {
 public:
  explicit SlowConsumer(decode::Scheduler& scheduler) : scheduler_(scheduler), thread_([this] { serve(); }) {}
  ~SlowConsumer() {
    ending_ = true;
    thread_.join();
  }

  void heard(const decode::Batch& batch) {
    const auto tokens = static_cast<std::int32_t>(batch.tokens.size());
    if (batch.request % 5 != 0) return scheduler_.consumed(batch.request, tokens);
    const std::lock_guard lock(mutex_);
    behind_.emplace_back(batch.request, tokens);
  }

 private:
  void serve() {
    while (!ending_) {
      std::deque<std::pair<decode::RequestId, std::int32_t>> now;
      {
        const std::lock_guard lock(mutex_);
        now.swap(behind_);
      }
      for (const auto& [id, tokens] : now) scheduler_.consumed(id, tokens);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  decode::Scheduler& scheduler_;
  std::atomic<bool> ending_ = false;
  std::mutex mutex_;
  std::deque<std::pair<decode::RequestId, std::int32_t>> behind_;
  std::thread thread_;
};

class Client {
 public:
  Client(decode::Scheduler& scheduler, test::Replies& replies, std::uint64_t number)
      : scheduler_(scheduler), replies_(replies), nextId_(number * 1'000'000), random_(number + 1) {}

  void run() {
    while (asked_.size() < requestsOfEach) {
      if (random(4) == 0) {
        converse();
      } else {
        submitSome();
      }
    }
    for (const Asked& each : asked_) replies_.ended(each.id);
  }

  const std::vector<Asked>& asked() const { return asked_; }
  int refused() const { return refused_; }
  // That it saw.
  std::size_t waited() const { return mostWaiting_; }

 private:
  std::int32_t random(std::int32_t below) {
    return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(below));
  }

  // One of a few beginnings, cut anywhere, and something new.
  std::vector<std::int32_t> prompt() {
    const std::int32_t kind = random(5);
    std::vector<std::int32_t> tokens;
    for (std::int32_t i = random(250); i > 0; --i) tokens.push_back(kind * 100 + static_cast<int>(tokens.size()) % 90);
    for (std::int32_t i = 1 + random(10); i > 0; --i) tokens.push_back(random(test::toyVocabulary));
    return tokens;
  }

  decode::Request request(std::vector<std::int32_t> tokens) {
    decode::Request made;
    made.tokens = std::move(tokens);
    made.maxNewTokens = std::min(1 + random(60), context + 1 - static_cast<std::int32_t>(made.tokens.size()));
    made.sampling.seed = static_cast<std::uint32_t>(random(3));
    // Few replies end at one of them, some at once.
    for (std::int32_t i = random(20); i > 0; --i) made.sampling.stopTokens.push_back(random(test::toyVocabulary));
    return made;
  }

  decode::RequestId submit(Asked asked) {
    asked.id = nextId_++;
    for (;;) {
      try {
        scheduler_.submit(asked.id, asked.request);
        break;
      } catch (const decode::QueueFullError&) {
        ++refused_;
        std::this_thread::sleep_for(std::chrono::microseconds(500));
      }
    }
    mostWaiting_ = std::max(mostWaiting_, scheduler_.stats().waiting);
    asked_.push_back(std::move(asked));
    return asked_.back().id;
  }

  // Some at once, of which some are aborted at some moment.
  void submitSome() {
    std::vector<std::pair<decode::RequestId, std::size_t>> aborts;
    for (std::int32_t i = 1 + random(8); i > 0; --i) {
      Asked asked{0, request(prompt()), random(5) == 0};
      const bool aborted = asked.mayAbort;
      const auto id = submit(std::move(asked));
      if (aborted) aborts.emplace_back(id, random(6));
    }
    for (const auto& [id, tokens] : aborts) {
      if (tokens > 0) replies_.tokens(id, tokens);
      scheduler_.abort(id);
    }
    replies_.ended(asked_.back().id);
  }

  // Turns on a sequence that goes on, is rewound, forked, and disposed of at some moment.
  void converse() {
    const decode::SequenceId sequence = nextId_++;
    scheduler_.createSequence(sequence);
    std::vector<decode::SequenceId> forks;
    std::vector<std::int32_t> tokens = prompt();
    for (std::int32_t turns = 1 + random(4); turns > 0 && tokens.size() < context; --turns) {
      Asked asked{0, request(tokens)};
      asked.request.sequence = sequence;
      const auto id = submit(asked);
      if (random(2) == 0) {
        // A fork at some moment of the turn, that says something else.
        replies_.tokens(id, static_cast<std::size_t>(random(4)));
        forks.push_back(nextId_++);
        scheduler_.forkSequence(sequence, forks.back());
        Asked other{0, request(tokens)};
        other.request.tokens.back() = random(test::toyVocabulary);
        other.request.sequence = forks.back();
        submit(other);
      }
      const auto reply = replies_.ended(id).tokens;
      tokens.insert(tokens.end(), reply.begin(), reply.end());
      if (random(3) == 0) tokens.resize(1 + static_cast<std::size_t>(random(static_cast<std::int32_t>(tokens.size()))));
      tokens.push_back(random(test::toyVocabulary));
    }
    if (tokens.size() <= context && random(2) == 0) {
      // Disposed of under two requests, one of which waits for the other.
      for (int i = 0; i < 2; ++i) {
        Asked asked{0, request(tokens), true, true};
        asked.request.sequence = sequence;
        submit(asked);
      }
      if (random(2) == 0) replies_.tokens(asked_.back().id - 1, 2);
    }
    scheduler_.disposeSequence(sequence);
    // Nothing is asked of the forks any more, but what was.
    for (const auto id : forks) {
      for (Asked& each : asked_)
        if (each.request.sequence == id) replies_.ended(each.id);
      scheduler_.disposeSequence(id);
    }
  }

  decode::Scheduler& scheduler_;
  test::Replies& replies_;
  decode::RequestId nextId_;
  std::mt19937 random_;
  std::vector<Asked> asked_;
  int refused_ = 0;
  std::size_t mostWaiting_ = 0;
};

void checkReply(const Asked& asked, const test::Reply& reply, std::set<std::string>& ends) {
  const auto& request = asked.request;
  const auto whole = test::toyReply(request.tokens, request.maxNewTokens, request.sampling);
  const std::string end = reply.end();
  ends.insert(end);
  CHECK(reply.tokens.size() <= whole.size());
  CHECK(std::equal(reply.tokens.begin(), reply.tokens.end(), whole.begin()));
  if (end == "aborted") {
    CHECK(asked.mayAbort);
  } else if (end == "stop" || end == "length") {
    CHECK_EQUAL(reply.tokens.size(), whole.size());
    const auto& stops = request.sampling.stopTokens;
    CHECK_EQUAL(end == "stop", std::find(stops.begin(), stops.end(), whole.back()) != stops.end());
  } else if (end == lost) {
    reply.error<std::runtime_error>();
  } else {
    CHECK(asked.mayDispose);
    reply.error<decode::DisposedError>();
  }
}

// Suspends the model again and again, and leaves it to requests to bring it back, or does so itself.
class Suspender {
 public:
  explicit Suspender(decode::Scheduler& scheduler) : scheduler_(scheduler), thread_([this] { serve(); }) {}
  ~Suspender() {
    ending_ = true;
    thread_.join();
  }
  int suspended() const { return suspended_; }

 private:
  void serve() {
    std::mt19937 random(11);
    while (!ending_) {
      std::promise<bool> settled;
      scheduler_.suspend({.finishRunning = true, .keepRam = random() % 2 == 0},
                         [&](std::exception_ptr error) { settled.set_value(!error); });
      if (random() % 3 == 0) scheduler_.resume([](std::exception_ptr) {});
      if (settled.get_future().get()) ++suspended_;
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
    }
  }

  decode::Scheduler& scheduler_;
  std::atomic<bool> ending_ = false;
  std::atomic<int> suspended_ = 0;
  std::thread thread_;
};

// `troubled`: it is suspended meanwhile, and steps are lost.
void stress(const decode::SchedulerOptions& options, std::int32_t pages, std::int32_t decodeRows,
            bool troubled = false) {
  test::ToyOptions toy;
  if (troubled)
    // The scheduler's thread alone calls it.
    toy.before = [random = std::mt19937(5)](const std::string& call) mutable {
      if ((call == "decode" || call == "prefill") && random() % 100 == 0)
        throw decode::StepLostError(std::make_exception_ptr(std::runtime_error(lost)));
    };
  toy.limits.slots = 8;
  toy.limits.pages = pages;
  toy.limits.decodeRows = decodeRows;
  toy.slowest = std::chrono::microseconds(60);
  const auto replies = std::make_shared<test::Replies>();
  decode::Scheduler scheduler(std::make_unique<test::ToyRunner>(toy), options, replies);
  std::vector<Client> all;
  for (std::uint64_t i = 0; i < clients; ++i) all.emplace_back(scheduler, *replies, i);
  SlowConsumer consumer(scheduler);
  replies->heard = [&](const decode::Batch& batch) { consumer.heard(batch); };
  std::optional<Suspender> suspender;
  if (troubled) suspender.emplace(scheduler);
  std::vector<std::thread> threads;
  for (Client& client : all) threads.emplace_back([&client] { client.run(); });
  for (auto& thread : threads) thread.join();
  if (troubled) CHECK(suspender->suspended() > 0);
  suspender.reset();
  const auto stats = scheduler.stats();
  scheduler.stop(std::make_exception_ptr(std::runtime_error("over")));
  CHECK_EQUAL(stats.slotsInUse, 0U);
  CHECK_EQUAL(stats.pagesInUse, 0U);
  CHECK_EQUAL(stats.waiting, 0U);
  CHECK(stats.decodeSteps > 1000);
  CHECK_EQUAL(replies->broken(), "");

  std::set<std::string> ends;
  int refused = 0;
  for (const Client& client : all) {
    refused += client.refused();
    CHECK(client.waited() > 0 && client.waited() <= mostWaiting);
    for (const Asked& asked : client.asked()) checkReply(asked, replies->now(asked.id), ends);
  }
  CHECK_EQUAL(ends.size(), troubled ? 5U : 4U);
  CHECK(refused > 0);
}

}  // namespace

TEST(decode_stress_with_shared_prefixes) {
  stress({.maxContext = context,
          .maxWaiting = mostWaiting,
          .stepsInFlight = 3,
          .window = 8,
          .policy = {.chunk = 256, .chunkBesideStreams = 48}},
         40, 6);
}

TEST(decode_stress_with_suspensions_and_lost_steps) {
  stress({.maxContext = context,
          .maxWaiting = mostWaiting,
          .stepsInFlight = 1,
          .window = 64,
          .policy = {.chunk = 256, .chunkBesideStreams = 48}},
         40, 6, true);
}

TEST(decode_stress_without_prefixes) {
  stress({.maxContext = context,
          .maxWaiting = mostWaiting,
          .stepsInFlight = 2,
          .window = 64,
          .reusePrefixes = false,
          .policy = {.chunk = 256, .chunkBesideStreams = 64, .fixedChunks = true}},
         20, 8);
}

TEST(decode_stress_with_sequences_alone) {
  stress({.maxContext = context,
          .maxWaiting = mostWaiting,
          .stepsInFlight = 2,
          .window = 64,
          .sharePrefixes = false,
          .policy = {.chunk = 256, .chunkBesideStreams = 64, .fixedChunks = true}},
         20, 8);
}
