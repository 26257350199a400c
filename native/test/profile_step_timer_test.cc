// Steps timed by events, without CUPTI.
#include "profile/step_timer.h"

#include <memory>
#include <string>
#include <vector>

#include "profile/collector.h"
#include "profile/host_time.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;
namespace profile = tensorrt_node::profile;
using profile::Activity;
using profile::Collector;

namespace {

const auto toy = std::make_shared<const std::string>("toy");

struct Collection {
  explicit Collection(bool byEvents)
      : number(Collector::instance().start({.libraries = {byEvents ? "/no/such/libcupti.so" : SIMULATED_CUPTI_PATH},
                                            .ranges = true,
                                            .byEvents = byEvents})) {}
  ~Collection() { stop(); }
  Collection(const Collection&) = delete;
  Collection& operator=(const Collection&) = delete;
  void stop() const { Collector::instance().stop(number); }
  profile::TakenActivities take() const { return Collector::instance().take(number, ~std::size_t{0}); }
  const std::uint64_t number;
};

void work(const cuda::Stream& stream) {
  SimulatorKernel kernel{};
  kernel.name = "kernel";
  kernel.nanoseconds = 200'000;
  kernel.run = [](void*) {};
  const cuda::Current current(*stream.context());
  CHECK_EQUAL(simulatorLaunch(stream.handle(), &kernel), 0);
}

void step(profile::StepTimer& timer, const cuda::Stream& stream, profile::Phase phase) {
  profile::Step told(phase, toy, 1);
  told.serve(1, 1);
  const profile::StepTimer::Mark mark(timer);
  work(stream);
}

}  // namespace

TEST(steps_are_timed_by_events_where_there_is_no_cupti) {
  const cuda::Stream stream(test::context(), "decode");
  profile::StepTimer timer(stream);
  const Collection collection(true);
  CHECK(Collector::instance().info().library.empty());
  const std::int64_t before = profile::hostTime();
  step(timer, stream, profile::Phase::prefill);
  for (int i = 0; i < 3; ++i) step(timer, stream, profile::Phase::decode);
  stream.synchronize();
  const std::int64_t after = profile::hostTime();
  timer.poll();
  const auto taken = collection.take();
  CHECK_EQUAL(taken.steps.size(), 4U);
  CHECK_EQUAL(taken.activities.size(), 4U);
  // Of the anchor.
  constexpr double tolerance = 1e6;
  double last = static_cast<double>(before) - tolerance;
  for (std::size_t i = 0; i < 4; ++i) {
    const Activity& each = taken.activities[i];
    CHECK(each.kind == profile::ActivityKind::range);
    CHECK_EQUAL(each.step, taken.steps[i].number);
    CHECK_EQUAL(taken.names.at(each.phase - 1), i == 0 ? "prefill" : "decode");
    CHECK_EQUAL(each.name, each.phase);
    CHECK_EQUAL(taken.names.at(each.streamName - 1), "decode");
    CHECK(each.stream > 0);
    CHECK(each.end - each.start >= 200'000 - 1000);
    // One after the other, to the resolution of events.
    CHECK(each.start >= last - 1000);
    last = each.end;
  }
  CHECK(last <= static_cast<double>(after) + tolerance);
}

TEST(steps_are_timed_by_events_only_while_a_collection_wants_that) {
  const cuda::Stream stream(test::context(), "decode");
  profile::StepTimer timer(stream);
  step(timer, stream, profile::Phase::decode);
  {
    const Collection byCupti(false);
    step(timer, stream, profile::Phase::decode);
    stream.synchronize();
    timer.poll();
    byCupti.stop();
    for (const Activity& each : byCupti.take().activities) CHECK(each.kind != profile::ActivityKind::range);
  }
  const Collection first(true);
  step(timer, stream, profile::Phase::decode);
  first.stop();
  const Collection second(true);
  stream.synchronize();
  step(timer, stream, profile::Phase::decode);
  stream.synchronize();
  timer.poll();
  const auto taken = second.take();
  CHECK_EQUAL(taken.steps.size(), 1U);
  CHECK_EQUAL(taken.activities.size(), 1U);
  CHECK_EQUAL(taken.activities[0].step, taken.steps[0].number);
}

TEST(steps_timed_by_events_need_no_more_events_however_many_there_are) {
  test::slowDown(0);
  const cuda::Stream stream(test::context(), "decode");
  profile::StepTimer timer(stream);
  const Collection collection(true);
  // Nobody polls: what is too much is not timed.
  for (int i = 0; i < 300; ++i) step(timer, stream, profile::Phase::decode);
  stream.synchronize();
  timer.poll();
  CHECK_EQUAL(collection.take().activities.size(), 256U);
  step(timer, stream, profile::Phase::decode);
  stream.synchronize();
  timer.poll();
  CHECK_EQUAL(collection.take().activities.size(), 1U);
}

TEST(steps_whose_events_fail_go_on_untimed) {
  const cuda::Stream stream(test::context(), "decode");
  profile::StepTimer timer(stream);
  const Collection collection(true);
  simulatorFail("cuEventCreate", 1, 1, CUDA_ERROR_OUT_OF_MEMORY);
  step(timer, stream, profile::Phase::decode);
  step(timer, stream, profile::Phase::decode);
  stream.synchronize();
  timer.poll();
  CHECK_EQUAL(collection.take().activities.size(), 1U);
}
