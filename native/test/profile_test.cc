// Collecting what the GPU does, from the simulated driver through the simulated CUPTI.
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cuda/copy.h"
#include "cuda/device_pool.h"
#include "cuda/graph.h"
#include "cuda/pinned_pool.h"
#include "cuda/stream.h"
#include "profile/collector.h"
#include "profile/step.h"
#include "simulated.h"
#include "simulator/cupti/simulated_cupti.h"
#include "tensorrt/error.h"

namespace cuda = tensorrt_node::cuda;
namespace profile = tensorrt_node::profile;
using profile::Activity;
using profile::ActivityKind;
using profile::Direction;

namespace {

profile::CollectorOptions options() {
  profile::CollectorOptions wanted;
  wanted.libraries = {SIMULATED_CUPTI_PATH};
  return wanted;
}

double hostTime() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// A collection of a test.
struct Collection {
  explicit Collection(const profile::CollectorOptions& wanted = options())
      : number(profile::Collector::instance().start(wanted)) {}
  ~Collection() { stop(); }
  Collection(const Collection&) = delete;
  Collection& operator=(const Collection&) = delete;

  void stop() const { profile::Collector::instance().stop(number); }

  // All that is left, after the end; in order of time.
  std::vector<Activity> finish() {
    stop();
    profile::TakenActivities taken = profile::Collector::instance().take(number, ~std::size_t{0});
    names.insert(names.end(), taken.names.begin(), taken.names.end());
    steps.insert(steps.end(), taken.steps.begin(), taken.steps.end());
    dropped += taken.dropped;
    std::sort(taken.activities.begin(), taken.activities.end(),
              [](const Activity& left, const Activity& right) { return left.start < right.start; });
    return taken.activities;
  }

  std::string name(std::uint32_t numbered) const { return numbered == 0 ? "" : names.at(numbered - 1); }

  const std::uint64_t number;
  std::vector<std::string> names;
  std::vector<profile::StepRecord> steps;
  // What steps are counted from.
  std::uint64_t firstStep = 0;
  std::uint64_t dropped = 0;
};

std::vector<Activity> of(ActivityKind kind, const std::vector<Activity>& all) {
  std::vector<Activity> found;
  std::copy_if(all.begin(), all.end(), std::back_inserter(found),
               [&](const Activity& each) { return each.kind == kind; });
  return found;
}

struct Setting {
  Setting(const char* named, std::uint64_t value) : name(named) { CHECK(simulatedCuptiSet(name, value) == 1); }
  ~Setting() { simulatedCuptiSet(name, 0); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
  const char* name;
};

void launch(const cuda::Stream& stream, const char* name, std::uint64_t nanoseconds = 0) {
  SimulatorKernel kernel{};
  kernel.name = name;
  kernel.nanoseconds = nanoseconds;
  kernel.run = [](void*) {};
  const cuda::Current current(*stream.context());
  CHECK_EQUAL(simulatorLaunch(stream.handle(), &kernel), 0);
}

// Memory of both sides, and a stream.
struct Machine {
  std::shared_ptr<const cuda::Context> context = test::context();
  cuda::PinnedPool pinned{context};
  cuda::DevicePool device{context};
  cuda::Stream stream{context, "compute"};
};

}  // namespace

TEST(profile_tells_kernels_and_copies_with_their_bytes_and_streams_in_order) {
  Machine machine;
  cuda::Stream copies(machine.context, "copies");
  cuda::PinnedBlock host = machine.pinned.allocate(4096);
  cuda::DeviceBlock block = machine.device.allocate(4096, machine.stream);
  Collection collection;
  const double before = hostTime();
  cuda::copyToDevice(machine.stream, block, 0, host, 0, 3000);
  launch(machine.stream, "_Z6squarePf", 50'000);
  cuda::copyToHost(machine.stream, host, 0, block, 0, 1234);
  machine.stream.synchronize();
  launch(copies, "other");
  copies.synchronize();
  const double after = hostTime();

  const auto all = collection.finish();
  const auto kernels = of(ActivityKind::kernel, all);
  CHECK_EQUAL(kernels.size(), 2U);
  CHECK_EQUAL(collection.name(kernels[0].name), "square(float*)");
  CHECK_EQUAL(collection.name(kernels[0].streamName), "compute");
  CHECK_EQUAL(collection.name(kernels[1].name), "other");
  CHECK_EQUAL(collection.name(kernels[1].streamName), "copies");
  CHECK(kernels[0].stream != kernels[1].stream);
  CHECK(kernels[0].end - kernels[0].start >= 50'000);
  CHECK_EQUAL(kernels[0].block[0], 32U);
  const auto moved = of(ActivityKind::copy, all);
  CHECK_EQUAL(moved.size(), 2U);
  CHECK_EQUAL(moved[0].bytes, 3000.0);
  CHECK_EQUAL(moved[0].direction, Direction::toDevice);
  CHECK_EQUAL(moved[0].pageable, 0U);
  CHECK_EQUAL(collection.name(moved[0].name), "copy to device");
  CHECK_EQUAL(moved[1].bytes, 1234.0);
  CHECK_EQUAL(moved[1].direction, Direction::toHost);
  CHECK(moved[0].end <= kernels[0].start && kernels[0].end <= moved[1].start);
  for (const Activity& each : all) CHECK(before <= each.start && each.start <= each.end && each.end <= after);
  const auto waits = of(ActivityKind::synchronize, all);
  CHECK_EQUAL(waits.size(), 2U);
  CHECK_EQUAL(collection.name(waits[0].streamName), "compute");
  CHECK_EQUAL(collection.dropped, 0U);
}

TEST(profile_tells_copies_of_pageable_memory_apart) {
  Machine machine;
  const cuda::DeviceBlock block = machine.device.allocate(4096, machine.stream);
  const std::vector<std::byte> host(100);
  Collection collection;
  {
    const cuda::Current current(*machine.context);
    CHECK_EQUAL(cuda::driver().cuMemcpyHtoDAsync(block.address(), host.data(), 100, machine.stream.handle()),
                CUDA_SUCCESS);
    CHECK_EQUAL(cuda::driver().cuMemsetD8Async(block.address(), 1, 200, machine.stream.handle()), CUDA_SUCCESS);
    machine.stream.synchronize();
  }
  test::takeOnlyFinding(SIMULATOR_PAGEABLE_COPY);
  const auto all = collection.finish();
  const auto copies = of(ActivityKind::copy, all);
  CHECK_EQUAL(copies.size(), 1U);
  CHECK_EQUAL(copies[0].pageable, 1U);
  const auto sets = of(ActivityKind::set, all);
  CHECK_EQUAL(sets.size(), 1U);
  CHECK_EQUAL(sets[0].bytes, 200.0);
}

TEST(profile_counts_times_from_the_origin_whatever_clock_cupti_keeps) {
  const Setting clock("clock", 1);
  Machine machine;
  const double origin = hostTime() - 1e9;
  auto wanted = options();
  wanted.origin = static_cast<std::int64_t>(origin);
  Collection collection(wanted);
  const double before = hostTime() - origin;
  launch(machine.stream, "kernel");
  machine.stream.synchronize();
  const double after = hostTime() - origin;
  const auto kernels = of(ActivityKind::kernel, collection.finish());
  CHECK_EQUAL(kernels.size(), 1U);
  // Two clocks, each read a few times: not to the nanosecond.
  constexpr double tolerance = 1e6;
  CHECK(kernels[0].start > before - tolerance && kernels[0].end < after + tolerance);
}

TEST(profile_names_streams_made_before_and_during_a_collection_alike) {
  Machine machine;
  Collection collection;
  {
    const cuda::Stream late(machine.context, "late");
    launch(late, "kernel");
    late.synchronize();
  }
  launch(machine.stream, "kernel");
  machine.stream.synchronize();
  const auto kernels = of(ActivityKind::kernel, collection.finish());
  CHECK_EQUAL(kernels.size(), 2U);
  CHECK_EQUAL(collection.name(kernels[0].streamName), "late");
  CHECK_EQUAL(collection.name(kernels[1].streamName), "compute");
  CHECK_EQUAL(kernels[0].name, kernels[1].name);
}

namespace {

cuda::Graph twoKernels(const cuda::Stream& stream) {
  return cuda::Graph::capture(stream, [&] {
    launch(stream, "first");
    launch(stream, "second");
  });
}

}  // namespace

TEST(profile_tells_a_launch_of_a_graph_as_one_unless_its_nodes_are_wanted) {
  Machine machine;
  Collection collection;
  const cuda::Graph graph = twoKernels(machine.stream);
  graph.launch(machine.stream);
  machine.stream.synchronize();
  const auto all = collection.finish();
  CHECK(of(ActivityKind::kernel, all).empty());
  const auto graphs = of(ActivityKind::graph, all);
  CHECK_EQUAL(graphs.size(), 1U);
  CHECK(graphs[0].graph != 0);
  CHECK(graphs[0].start <= graphs[0].end);
  CHECK_EQUAL(collection.name(graphs[0].streamName), "compute");
}

TEST(profile_tells_launches_of_graphs_that_are_older_than_it) {
  Machine machine;
  const cuda::Graph graph = twoKernels(machine.stream);
  const std::uint64_t before = simulatorCalls("cuGraphInstantiateWithFlags");
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 2; ++i) graph.launch(machine.stream);
    {
      Collection collection;
      for (int i = 0; i < 2; ++i) graph.launch(machine.stream);
      machine.stream.synchronize();
      const auto all = collection.finish();
      CHECK(of(ActivityKind::kernel, all).empty());
      CHECK_EQUAL(of(ActivityKind::graph, all).size(), 2U);
    }
    graph.launch(machine.stream);
  }
  machine.stream.synchronize();
  // Once for all collections.
  CHECK_EQUAL(simulatorCalls("cuGraphInstantiateWithFlags") - before, 1U);
}

TEST(profile_begins_and_ends_while_another_thread_launches_graphs) {
  Machine machine;
  const cuda::Graph graph = twoKernels(machine.stream);
  std::atomic<bool> over{false};
  std::thread launches([&] {
    while (!over) graph.launch(machine.stream);
    machine.stream.synchronize();
  });
  for (int round = 0; round < 20; ++round) {
    auto wanted = options();
    wanted.graphNodes = round % 3 == 2;
    Collection collection(wanted);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  over = true;
  launches.join();
}

TEST(profile_tells_the_nodes_of_a_graph_with_the_launch_they_are_of) {
  Machine machine;
  const cuda::Graph graph = twoKernels(machine.stream);
  auto wanted = options();
  wanted.graphNodes = true;
  Collection collection(wanted);
  graph.launch(machine.stream);
  graph.launch(machine.stream);
  machine.stream.synchronize();
  const auto all = collection.finish();
  CHECK(of(ActivityKind::graph, all).empty());
  const auto kernels = of(ActivityKind::kernel, all);
  CHECK_EQUAL(kernels.size(), 4U);
  CHECK_EQUAL(collection.name(kernels[0].name), "first");
  CHECK_EQUAL(collection.name(kernels[1].name), "second");
  CHECK(kernels[0].graph != 0);
  CHECK_EQUAL(kernels[0].graph, kernels[3].graph);
  CHECK_EQUAL(kernels[0].correlation, kernels[1].correlation);
  CHECK(kernels[1].correlation != kernels[2].correlation);
}

namespace {

const auto toy = std::make_shared<const std::string>("toy");

std::shared_ptr<const profile::GraphParts> parts(profile::GraphParts list) {
  return std::make_shared<const profile::GraphParts>(std::move(list));
}

// "phase layer step" of each kernel and copy, by its name, in the order of time.
std::vector<std::string> places(Collection& collection) {
  std::vector<std::string> told;
  for (const Activity& each : collection.finish()) {
    if (each.kind == ActivityKind::synchronize) continue;
    told.push_back(collection.name(each.name) + ": " + collection.name(each.phase) + " " + collection.name(each.layer) +
                   (each.step == 0 ? "" : " " + std::to_string(each.step - collection.firstStep)));
  }
  return told;
}

}  // namespace

TEST(profile_tells_of_steps_and_whose_work_they_did) {
  Machine machine;
  const auto layer = parts({{"layer 0", 0}});
  auto wanted = options();
  wanted.ranges = true;
  Collection collection(wanted);
  const double before = hostTime();
  launch(machine.stream, "outside");
  {
    profile::Step step(profile::Phase::prefill, toy, 15);
    step.serve(7, 12);
    step.serve(9, 3);
    step.reads(4096);
    collection.firstStep = step.record().number;
    launch(machine.stream, "upload");
    const profile::StepPart part(layer);
    launch(machine.stream, "block");
  }
  {
    profile::Step step(profile::Phase::decode, toy, 1);
    step.serve(7, 1);
    launch(machine.stream, "second");
  }
  machine.stream.synchronize();
  const auto told = places(collection);
  CHECK_EQUAL(told.size(), 4U);
  CHECK_EQUAL(told[0], "outside:  ");
  CHECK_EQUAL(told[1], "upload: prefill  0");
  CHECK_EQUAL(told[2], "block: prefill layer 0 0");
  CHECK_EQUAL(told[3], "second: decode  1");
  CHECK_EQUAL(collection.steps.size(), 2U);
  const profile::StepRecord& first = collection.steps[0];
  CHECK_EQUAL(*first.model, "toy");
  CHECK_EQUAL(first.phase, profile::Phase::prefill);
  CHECK_EQUAL(first.bytesRead, 4096U);
  CHECK_EQUAL(first.rows, 15U);
  CHECK_EQUAL(first.requests.size(), 2U);
  CHECK_EQUAL(first.requests[1].number, 9U);
  CHECK_EQUAL(first.requests[1].tokens, 3U);
  CHECK(before <= static_cast<double>(first.begin) && first.begin <= first.end);
  CHECK(first.end <= collection.steps[1].begin);
  CHECK_EQUAL(collection.dropped, 0U);
}

TEST(profile_tells_of_no_steps_while_nobody_collects) {
  Machine machine;
  {
    const profile::Step step(profile::Phase::decode, toy, 1);
    CHECK(!step.told());
    CHECK(profile::Step::current() == nullptr);
  }
  Collection collection;
  collection.stop();
  const profile::Step late(profile::Phase::decode, toy, 1);
  CHECK(!late.told());
  CHECK(collection.finish().empty());
  CHECK(collection.steps.empty());
}

TEST(profile_tells_the_layers_of_graphs_captured_before_the_collection) {
  Machine machine;
  const auto exact = parts({{"layer 0", 1}, {"layer 1", 1}});
  const auto other = parts({{"layer 0", 1}, {"layer 1", 2}});
  const cuda::Graph graph = twoKernels(machine.stream);
  auto wanted = options();
  wanted.ranges = true;
  wanted.graphNodes = true;
  Collection collection(wanted);
  for (const auto& list : {exact, other, exact}) {
    profile::Step step(profile::Phase::decode, toy, 1);
    if (collection.firstStep == 0) collection.firstStep = step.record().number;
    step.mostly(list);
    graph.launch(machine.stream);
  }
  machine.stream.synchronize();
  const auto told = places(collection);
  CHECK_EQUAL(told.size(), 6U);
  CHECK_EQUAL(told[0], "first: decode layer 0 0");
  CHECK_EQUAL(told[1], "second: decode layer 1 0");
  CHECK_EQUAL(told[2], "first: decode  1");
  CHECK_EQUAL(told[3], "second: decode  1");
  CHECK_EQUAL(told[4], "first: decode layer 0 2");
  CHECK_EQUAL(told[5], "second: decode layer 1 2");
}

TEST(profile_tells_the_phase_of_launches_as_one) {
  Machine machine;
  auto wanted = options();
  wanted.ranges = true;
  Collection collection(wanted);
  const cuda::Graph graph = twoKernels(machine.stream);
  {
    profile::Step step(profile::Phase::decode, toy, 1);
    collection.firstStep = step.record().number;
    step.mostly(parts({{"layer 0", 1}, {"layer 1", 1}}));
    graph.launch(machine.stream);
    const profile::StepPart part(parts({{"layer 2", 0}}));
    graph.launch(machine.stream);
  }
  machine.stream.synchronize();
  const auto told = places(collection);
  CHECK_EQUAL(told.size(), 2U);
  CHECK_EQUAL(told[0], "graph: decode  0");
  CHECK_EQUAL(told[1], "graph: decode layer 2 0");
}

TEST(profile_gives_what_belongs_to_no_step_while_it_collects) {
  Machine machine;
  auto wanted = options();
  wanted.ranges = true;
  Collection collection(wanted);
  launch(machine.stream, "kernel");
  machine.stream.synchronize();
  bool found = false;
  for (int i = 0; i < 1000 && !found; ++i) {
    // Something else has to come for CUPTI to hand buffers over.
    launch(machine.stream, "later");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    for (const Activity& each : profile::Collector::instance().take(collection.number, 10).activities)
      if (each.kind == ActivityKind::kernel) found = each.step == 0;
  }
  CHECK(found);
}

TEST(profile_holds_no_more_than_it_may_and_counts_the_rest) {
  Machine machine;
  auto wanted = options();
  wanted.mostActivities = 10;
  Collection collection(wanted);
  for (int i = 0; i < 25; ++i) launch(machine.stream, "kernel");
  machine.stream.synchronize();
  // And the wait.
  CHECK_EQUAL(collection.finish().size(), 10U);
  CHECK_EQUAL(collection.dropped, 16U);
}

TEST(profile_needs_no_more_buffers_however_long_it_runs) {
  Machine machine;
  Collection collection;
  std::size_t kernels = 0;
  // More than a buffer holds, a few times.
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 1000; ++i) launch(machine.stream, "kernel");
    machine.stream.synchronize();
    for (const Activity& each : profile::Collector::instance().take(collection.number, ~std::size_t{0}).activities)
      kernels += each.kind == ActivityKind::kernel ? 1 : 0;
  }
  CHECK(profile::Collector::instance().bufferCount() <= 16);
  kernels += of(ActivityKind::kernel, collection.finish()).size();
  CHECK_EQUAL(kernels, 40'000U);
  CHECK_EQUAL(collection.dropped, 0U);
  CHECK_EQUAL(profile::Collector::instance().bufferCount(), 0U);
}

TEST(profile_gives_the_oldest_first_and_the_rest_later) {
  Machine machine;
  Collection collection;
  for (int i = 0; i < 5; ++i) launch(machine.stream, "kernel");
  machine.stream.synchronize();
  collection.stop();
  profile::Collector& collector = profile::Collector::instance();
  const auto first = collector.take(collection.number, 2);
  const auto rest = collector.take(collection.number, 100);
  CHECK_EQUAL(first.activities.size(), 2U);
  CHECK_EQUAL(rest.activities.size(), 4U);
  CHECK(first.activities[1].start <= rest.activities[0].start);
  CHECK(!first.names.empty());
  CHECK(rest.names.empty());
}

TEST(profile_refuses_a_second_collection_until_the_first_ends) {
  Machine machine;
  profile::Collector& collector = profile::Collector::instance();
  {
    const Collection first;
    CHECK_CONTAINS(CHECK_THROWS(collector.start(options()), profile::BusyError).what(), "already");
    launch(machine.stream, "first");
    machine.stream.synchronize();
  }
  Collection second;
  // Of a collection that is over: nothing is ended by it, and nothing found.
  collector.stop(second.number - 1);
  CHECK(collector.take(second.number - 1, 10).activities.empty());
  launch(machine.stream, "second");
  machine.stream.synchronize();
  const auto kernels = of(ActivityKind::kernel, second.finish());
  CHECK_EQUAL(kernels.size(), 1U);
  CHECK_EQUAL(second.name(kernels[0].name), "second");
}

TEST(profile_stops_while_work_is_under_way) {
  test::slowDown(100'000);
  Machine machine;
  Collection collection;
  for (int i = 0; i < 50; ++i) launch(machine.stream, "kernel");
  const auto all = collection.finish();
  CHECK(all.size() < 50U);
  machine.stream.synchronize();
  CHECK(collection.finish().empty());
}

TEST(profile_is_safe_beside_threads_that_make_streams_and_launch) {
  Machine machine;
  std::vector<std::thread> threads;
  std::atomic<bool> done{false};
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      while (!done) {
        const profile::Step step(profile::Phase::decode, toy, 1);
        const cuda::Stream stream(machine.context, "worker");
        launch(stream, "kernel");
        stream.synchronize();
      }
    });
  for (int i = 0; i < 10; ++i) {
    auto wanted = options();
    wanted.ranges = i % 2 == 0;
    Collection collection(wanted);
    launch(machine.stream, "mine");
    machine.stream.synchronize();
    for (int take = 0; take < 20; ++take) profile::Collector::instance().take(collection.number, 3);
    collection.finish();
  }
  done = true;
  for (std::thread& each : threads) each.join();
}

TEST(profile_says_what_to_do_where_cupti_refuses) {
  Machine machine;
  const Setting refuse("refuse", 35);
  const auto error =
      CHECK_THROWS(profile::Collector::instance().start(options()), tensorrt_node::tensorrt::UnsupportedError);
  CHECK_CONTAINS(error.what(), "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES");
  CHECK_CONTAINS(error.hint(), "NVreg_RestrictProfilingToAdminUsers");
}

TEST(profile_says_of_each_library_why_it_does_not_serve) {
  const Setting old("version", 17);
  const auto error = CHECK_THROWS(profile::Cupti::open({"/no/such/libcupti.so.13", "libc.so.6", SIMULATED_CUPTI_PATH}),
                                  tensorrt_node::tensorrt::UnsupportedError);
  CHECK_CONTAINS(error.what(), "/no/such/libcupti.so.13");
  CHECK_CONTAINS(error.what(), "libc.so.6: it has no function cuptiGetVersion");
  CHECK_CONTAINS(error.what(), "CUDA 11");
  CHECK_CONTAINS(error.hint(), "nvidia-cuda-cupti");
}
