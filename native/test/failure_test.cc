// Each driver call fails once, at every point of a run through everything: an error comes out or none is needed, and
// nothing leaks, races or stalls. Then the driver goes away, and destructors stay silent.
#include <optional>
#include <stdexcept>

#include "cuda/copy.h"
#include "cuda/device.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

namespace {

// Uses every class; on two streams, with reuse, trim and blocks that outlive their pools.
void runThroughEverything() {
  cuda::devices();
  cuda::driverVersion();
  const auto context = test::context();
  cuda::memory(*context);
  const cuda::Stream first(context, "first");
  const cuda::Stream second(context, "second");
  cuda::Event start(context, {.timing = true});
  cuda::Event end(context, {.timing = true});
  cuda::PinnedBlock outliving;
  {
    cuda::PinnedPool pinned(context, {.name = "pinned", .limitBytes = 16384});
    cuda::DevicePool device(context, {.name = "device", .limitBytes = 4096});
    first.record(start);
    for (int i = 0; i < 3; ++i) {
      auto from = pinned.allocate(4096);
      auto to = pinned.allocate(8192);
      auto block = device.allocate(1024, i % 2 == 0 ? first : second);
      auto other = device.allocate(2048, second);
      const cuda::Stream& home = i % 2 == 0 ? first : second;
      cuda::copyToDevice(home, block, 0, from, 0, 1024);
      home.record(end);
      second.wait(end);
      cuda::fill(second, other, 0, 2048, 1);
      cuda::copyOnDevice(second, other, 0, block, 0, 1024);
      cuda::copyToHost(second, to, 0, other, 0, 2048);
    }
    second.record(end);
    end.wait();
    end.millisecondsSince(start);
    second.callOnHost([] {});
    second.synchronize();
    CHECK(second.idle());
    pinned.trim();
    device.trim();
    outliving = pinned.allocate(4096);
  }
  first.synchronize();
}

}  // namespace

TEST(everything_works_when_nothing_fails) {
  test::slowDown(10'000, 50'000);
  runThroughEverything();
}

TEST(a_failure_at_any_call_leaks_nothing) {
  test::slowDown(0, 20'000);
  const std::uint64_t before = simulatorCalls(nullptr);
  runThroughEverything();
  test::expectNoFindings();
  const std::uint64_t calls = simulatorCalls(nullptr) - before;
  CHECK(calls > 50);
  std::uint64_t errors = 0;
  // A few more than were counted: how often the pools ask and wait depends on the streams' luck.
  for (std::uint64_t nth = 1; nth <= calls + 10; ++nth) {
    for (const CUresult code : {CUDA_ERROR_LAUNCH_FAILED, CUDA_ERROR_OUT_OF_MEMORY}) {
      simulatorReset();
      test::slowDown(0, 20'000, nth);
      simulatorFail(nullptr, nth, 1, code);
      try {
        runThroughEverything();
      } catch (const cuda::CudaError& error) {
        ++errors;
        CHECK_EQUAL(error.result(), code);
      }
      simulatorFindLeaks();
      const auto found = test::takeFindings();
      if (!found.empty()) throw check::Failure("when call " + std::to_string(nth) + " failed:" + test::describe(found));
    }
  }
  // Two runs a call: most must end in an error, or the test would pass for a library that ignores them. The others are
  // calls that free, and out of memory where there was something to free.
  CHECK(errors > calls);
}

TEST(a_context_that_cannot_be_made_current_reserves_nothing) {
  cuda::PinnedPool pool(test::context());
  simulatorFail("cuCtxPushCurrent_v2", 1, 1, CUDA_ERROR_LAUNCH_FAILED);
  const auto error = CHECK_THROWS(pool.allocate(4096), cuda::CudaError);
  CHECK_EQUAL(error.call(), "cuCtxPushCurrent");
  CHECK_EQUAL(pool.stats().reservedBytes, 0U);
}

TEST(after_teardown_of_the_driver_destructors_are_silent) {
  const auto context = test::context();
  std::optional<cuda::Stream> stream(std::in_place, context, "stream");
  std::optional<cuda::Event> event(std::in_place, context);
  std::optional<cuda::PinnedPool> pinned(std::in_place, context);
  std::optional<cuda::DevicePool> device(std::in_place, context);
  auto from = pinned->allocate(4096);
  auto to = device->allocate(4096, *stream);
  cuda::copyToDevice(*stream, to, 0, from, 0, 4096);
  { const auto idle = pinned->allocate(10000); }
  stream->synchronize();

  simulatorDeinitialize();
  const auto error = CHECK_THROWS(stream->synchronize(), cuda::CudaError);
  CHECK_EQUAL(error.result(), CUDA_ERROR_DEINITIALIZED);
  to.reset();
  from.reset();
  device.reset();
  pinned.reset();
  event.reset();
  stream.reset();
  // What a driver takes with it is no leak of the program, and the simulated one cannot tell.
  simulatorReset();
}
