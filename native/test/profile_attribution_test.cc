// Which step and part activities belong to, in whatever order CUPTI tells of them.
#include "profile/attribution.h"

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

using namespace tensorrt_node::profile;

namespace {

constexpr std::int64_t millisecond = 1'000'000;

std::shared_ptr<const GraphParts> parts(GraphParts list) {
  return std::make_shared<const GraphParts>(std::move(list));
}

StepRecord step(std::uint64_t number, Phase phase, std::vector<std::shared_ptr<const GraphParts>> of) {
  StepRecord record;
  record.number = number;
  record.phase = phase;
  record.parts = std::move(of);
  return record;
}

Activity node(std::uint32_t correlation, double start) {
  Activity activity;
  activity.kind = ActivityKind::kernel;
  activity.graph = 3;
  activity.correlation = correlation;
  activity.start = start;
  return activity;
}

Activity copyOf(std::uint32_t correlation) {
  Activity activity;
  activity.kind = ActivityKind::copy;
  activity.correlation = correlation;
  return activity;
}

// With the names that places are told by.
struct Bench {
  Attribution attribution;
  Names names;
  std::vector<std::string> known;

  std::string name(std::uint32_t number) {
    for (std::string& each : names.takeNew()) known.push_back(std::move(each));
    return number == 0 ? "" : known.at(number - 1);
  }
  std::string place(const Activity& activity) {
    return std::to_string(activity.step) + " " + name(activity.phase) + " " + name(activity.layer);
  }
  void add(const Activity& activity) { attribution.add(activity, names); }
  std::deque<Activity> take(std::int64_t now) {
    std::deque<Activity> ready;
    attribution.take(ready, names, now);
    return ready;
  }
  std::deque<Activity> takeAll() {
    std::deque<Activity> ready;
    attribution.takeAll(ready, names);
    return ready;
  }
};

}  // namespace

TEST(attribution_is_the_same_in_any_order) {
  const auto list = parts({{"layer 0", 2}, {"layer 1", 1}, {"sampling", 1}});
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    Bench bench;
    std::vector<std::function<void()>> events;
    for (std::uint32_t number = 1; number <= 3; ++number) {
      events.emplace_back([&, number] { bench.attribution.add(step(number, Phase::decode, {list})); });
      events.emplace_back([&, number] { bench.attribution.tie(10 * number, rangeNumber(number, 0)); });
      events.emplace_back([&, number] { bench.attribution.tie(10 * number + 1, rangeNumber(number, 0)); });
      events.emplace_back([&, number] { bench.add(copyOf(10 * number + 1)); });
      for (int i = 0; i < 4; ++i) events.emplace_back([&, number, i] { bench.add(node(10 * number, 100 + i)); });
    }
    std::shuffle(events.begin(), events.end(), random);
    std::deque<Activity> got;
    for (const auto& event : events) {
      event();
      if (random() % 4 != 0) continue;
      const auto some = bench.take(0);
      got.insert(got.end(), some.begin(), some.end());
    }
    const auto rest = bench.take(0);
    got.insert(got.end(), rest.begin(), rest.end());
    CHECK_EQUAL(got.size(), 15U);
    CHECK_EQUAL(bench.attribution.size(), 0U);
    for (const Activity& each : got) {
      const std::string number = std::to_string(each.correlation / 10);
      const char* const layers[] = {"layer 0", "layer 0", "layer 1", "sampling"};
      const std::string layer =
          each.kind == ActivityKind::copy ? "" : layers[static_cast<std::size_t>(each.start - 100)];
      CHECK_EQUAL(bench.place(each), number + " decode " + layer);
    }
  }
}

TEST(attribution_of_one_part_takes_whatever_there_is) {
  Bench bench;
  bench.attribution.add(step(5, Phase::prefill, {nullptr, parts({{"layer 7", 0}})}));
  bench.attribution.tie(1, rangeNumber(5, 1));
  for (int i = 0; i < 3; ++i) bench.add(node(1, i));
  const auto got = bench.take(0);
  CHECK_EQUAL(got.size(), 3U);
  for (const Activity& each : got) CHECK_EQUAL(bench.place(each), "5 prefill layer 7");
  // Copies beside it are of the step, and of no layer.
  bench.attribution.tie(2, rangeNumber(5, 1));
  bench.add(copyOf(2));
  CHECK_EQUAL(bench.place(bench.take(0).at(0)), "5 prefill ");
}

TEST(attribution_gives_up_layers_of_graphs_that_are_not_as_they_were_captured) {
  Bench bench;
  const auto list = parts({{"layer 0", 1}, {"layer 1", 1}});
  for (std::uint64_t number = 1; number <= 6; ++number) bench.attribution.add(step(number, Phase::decode, {list}));
  // One too many: from then on the list is not believed.
  bench.attribution.tie(1, rangeNumber(1, 0));
  for (int i = 0; i < 3; ++i) bench.add(node(1, i));
  CHECK_EQUAL(bench.take(0).size(), 3U);
  bench.attribution.tie(2, rangeNumber(2, 0));
  for (int i = 0; i < 2; ++i) bench.add(node(2, i));
  const auto later = bench.take(0);
  CHECK_EQUAL(later.size(), 2U);
  CHECK_EQUAL(bench.place(later[1]), "2 decode ");
}

TEST(attribution_compares_few_launches_while_work_is_left_out_and_all_again_once_it_is_not) {
  Bench bench;
  const auto list = parts({{"layer 0", 1}, {"layer 1", 1}});
  bench.attribution.add(step(1, Phase::decode, {list}));
  std::uint32_t correlation = 0;
  std::int64_t now = 0;
  // Whether a launch with so many nodes is held until it is given up.
  const auto isHeld = [&](int nodes) {
    bench.attribution.nextBuffer(now);
    bench.attribution.tie(++correlation, rangeNumber(1, 0));
    for (int i = 0; i < nodes; ++i) bench.add(node(correlation, i));
    const bool held = bench.take(now).empty();
    now += Attribution::mostPatience;
    for (const Activity& each : bench.take(now)) CHECK_EQUAL(bench.place(each), "1 decode ");
    return held;
  };
  for (int i = 0; i < 3; ++i) CHECK(isHeld(1));
  int held = 0;
  for (int i = 0; i < 256; ++i) held += isHeld(1) ? 1 : 0;
  CHECK_EQUAL(held, 4);
  // Whole again: found by the next that is compared.
  std::string layer;
  for (int i = 0; i < 64 && layer.empty(); ++i) {
    bench.attribution.tie(++correlation, rangeNumber(1, 0));
    for (int each = 0; each < 2; ++each) bench.add(node(correlation, each));
    layer = bench.name(bench.take(now).at(1).layer);
  }
  CHECK_EQUAL(layer, "layer 1");
  bench.attribution.tie(++correlation, rangeNumber(1, 0));
  for (int each = 0; each < 2; ++each) bench.add(node(correlation, each));
  CHECK_EQUAL(bench.place(bench.take(now).at(0)), "1 decode layer 0");
}

TEST(attribution_waits_for_a_missing_node_for_so_long_and_not_for_ever) {
  Bench bench;
  const auto list = parts({{"layer 0", 1}, {"layer 1", 1}});
  bench.attribution.nextBuffer(0);
  bench.attribution.add(step(1, Phase::decode, {list}));
  bench.attribution.tie(1, rangeNumber(1, 0));
  bench.add(node(1, 0));
  CHECK(bench.take(Attribution::leastPatience).empty());
  // Two more buffers have come, and it was not in them.
  bench.attribution.nextBuffer(millisecond);
  bench.attribution.nextBuffer(millisecond);
  CHECK(bench.take(Attribution::leastPatience - 1).empty());
  const auto got = bench.take(Attribution::leastPatience);
  CHECK_EQUAL(got.size(), 1U);
  CHECK_EQUAL(bench.place(got[0]), "1 decode ");
  // That was one launch; the next is believed.
  bench.attribution.tie(2, rangeNumber(1, 0));
  bench.add(node(2, 0));
  bench.add(node(2, 1));
  CHECK_EQUAL(bench.place(bench.take(0).at(1)), "1 decode layer 1");
}

TEST(attribution_of_what_is_of_no_step_ends_with_the_patience) {
  Bench bench;
  bench.attribution.nextBuffer(0);
  bench.add(node(1, 0));
  CHECK(bench.take(Attribution::mostPatience - 1).empty());
  CHECK_EQUAL(bench.attribution.size(), 1U);
  const auto got = bench.take(Attribution::mostPatience);
  CHECK_EQUAL(got.size(), 1U);
  CHECK_EQUAL(bench.place(got[0]), "0  ");
  CHECK_EQUAL(bench.attribution.size(), 0U);
}

TEST(attribution_knows_calls_whose_work_comes_late) {
  Bench bench;
  bench.attribution.nextBuffer(0);
  bench.attribution.add(step(1, Phase::decode, {nullptr}));
  bench.attribution.tie(1, rangeNumber(1, 0));
  for (int i = 0; i < 5; ++i) bench.attribution.nextBuffer(60'000 * millisecond);
  CHECK(bench.take(60'000 * millisecond).empty());
  bench.add(copyOf(1));
  CHECK_EQUAL(bench.place(bench.take(60'000 * millisecond).at(0)), "1 decode ");
}

TEST(attribution_holds_no_more_calls_than_it_may) {
  Bench bench;
  bench.attribution.add(step(1, Phase::decode, {nullptr}));
  for (std::uint32_t i = 1; i <= 50'000; ++i) bench.attribution.tie(i, rangeNumber(1, 0));
  bench.attribution.nextBuffer(0);
  bench.take(Attribution::mostPatience);
  // The oldest are forgotten, the newest are not.
  bench.add(copyOf(1));
  bench.add(copyOf(50'000));
  std::vector<std::string> places;
  for (const Activity& each : bench.takeAll()) places.push_back(bench.place(each));
  std::sort(places.begin(), places.end());
  CHECK_EQUAL(places.size(), 2U);
  CHECK_EQUAL(places[0], "0  ");
  CHECK_EQUAL(places[1], "1 decode ");
}

TEST(attribution_gives_all_at_the_end) {
  Bench bench;
  const auto list = parts({{"layer 0", 1}, {"layer 1", 1}});
  bench.attribution.add(step(1, Phase::decode, {list}));
  bench.attribution.tie(1, rangeNumber(1, 0));
  bench.add(node(1, 0));
  bench.add(node(2, 0));
  CHECK_EQUAL(bench.takeAll().size(), 2U);
  CHECK_EQUAL(bench.attribution.size(), 0U);
}

TEST(steps_of_many_threads_are_told_once_each_and_no_more_than_may_be) {
  StepQueue& queue = StepQueue::instance();
  queue.open(false);
  const auto model = std::make_shared<const std::string>("toy");
  constexpr std::size_t threads = 4;
  constexpr std::size_t each = 6000;
  std::vector<std::thread> workers;
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < threads; ++i)
    workers.emplace_back([&] {
      for (std::size_t step = 0; step < each; ++step) {
        Step told(Phase::decode, model, 1);
        told.serve(step, 1);
      }
    });
  for (int i = 0; i < 50; ++i) {
    for (const StepRecord& record : queue.take()) numbers.push_back(record.number);
    std::this_thread::yield();
  }
  for (std::thread& worker : workers) worker.join();
  for (const StepRecord& record : queue.take()) numbers.push_back(record.number);
  const std::uint64_t dropped = queue.takeDropped();
  queue.close();
  std::sort(numbers.begin(), numbers.end());
  CHECK(std::adjacent_find(numbers.begin(), numbers.end()) == numbers.end());
  CHECK_EQUAL(numbers.size() + dropped, threads * each);
  // And nobody is told after the end.
  { const Step late(Phase::decode, model, 1); }
  CHECK(queue.take().empty());
}
