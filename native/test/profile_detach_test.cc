// CUPTI leaves the process with the end of a collection, unless somebody is in it.
#include <atomic>
#include <thread>
#include <vector>

#include "cuda/stream.h"
#include "profile/collector.h"
#include "simulated.h"
#include "simulator/cupti/simulated_cupti.h"

namespace cuda = tensorrt_node::cuda;
namespace profile = tensorrt_node::profile;
using profile::Collector;

namespace {

profile::CollectorOptions options() {
  profile::CollectorOptions wanted;
  wanted.libraries = {SIMULATED_CUPTI_PATH};
  wanted.ranges = true;
  return wanted;
}

void launch(const cuda::Stream& stream) {
  SimulatorKernel kernel{};
  kernel.name = "kernel";
  kernel.run = [](void*) {};
  const cuda::Current current(*stream.context());
  CHECK_EQUAL(simulatorLaunch(stream.handle(), &kernel), 0);
}

// Kernels of a collection in which one was launched.
std::size_t kernelsOf(const cuda::Stream& stream) {
  Collector& collector = Collector::instance();
  const std::uint64_t number = collector.start(options());
  CHECK_EQUAL(simulatedCuptiAttached(), 1);
  launch(stream);
  stream.synchronize();
  collector.stop(number);
  std::size_t kernels = 0;
  for (const profile::Activity& each : collector.take(number, ~std::size_t{0}).activities)
    if (each.kind == profile::ActivityKind::kernel) ++kernels;
  return kernels;
}

}  // namespace

TEST(profile_leaves_the_process_and_comes_back_as_often_as_wanted) {
  const auto context = test::context();
  const cuda::Stream stream(context, "compute");
  for (int i = 0; i < 40; ++i) {
    CHECK_EQUAL(kernelsOf(stream), 1U);
    CHECK_EQUAL(simulatedCuptiAttached(), 0);
    // Those that CUPTI had when it left are used again.
    CHECK(Collector::instance().bufferCount() <= 2);
  }
}

TEST(profile_stays_where_the_process_ends) {
  const auto context = test::context();
  Collector& collector = Collector::instance();
  const std::uint64_t number = collector.start(options());
  collector.stop(number, false);
  CHECK_EQUAL(simulatedCuptiAttached(), 1);
}

TEST(profile_stays_where_a_step_is_in_it_and_leaves_the_next_time) {
  const auto context = test::context();
  const cuda::Stream stream(context, "compute");
  Collector& collector = Collector::instance();
  const std::uint64_t strays = simulatedCuptiStrays();
  const std::uint64_t number = collector.start(options());
  CHECK(collector.enter(7));
  collector.stop(number);
  CHECK_EQUAL(simulatedCuptiAttached(), 1);
  collector.leave();
  CHECK_EQUAL(kernelsOf(stream), 1U);
  CHECK_EQUAL(simulatedCuptiAttached(), 0);
  CHECK_EQUAL(simulatedCuptiStrays(), strays);
}

TEST(profile_is_left_by_threads_that_queue_before_it_leaves) {
  const auto context = test::context();
  const cuda::Stream stream(context, "compute");
  const std::uint64_t strays = simulatedCuptiStrays();
  std::atomic<bool> going{true};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&going] {
      while (going) {
        if (Collector::instance().enter(1)) Collector::instance().leave();
      }
    });
  }
  for (int i = 0; i < 20; ++i) CHECK_EQUAL(kernelsOf(stream), 1U);
  going = false;
  for (std::thread& each : threads) each.join();
  CHECK_EQUAL(simulatedCuptiStrays(), strays);
}
