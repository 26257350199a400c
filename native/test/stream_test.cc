// Streams and events.
#include "cuda/stream.h"

#include <atomic>
#include <stdexcept>
#include <thread>

#include "cuda/event.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

TEST(an_event_never_recorded_has_passed) {
  const cuda::Event event(test::context());
  CHECK(event.passed());
  event.wait();
}

TEST(an_event_passes_when_the_work_before_it_is_done) {
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  cuda::Event event(context);
  std::atomic<bool> go = false;
  stream.callOnHost([&] {
    while (!go) std::this_thread::yield();
  });
  stream.record(event);
  CHECK(!event.passed());
  CHECK(!stream.idle());
  go = true;
  event.wait();
  CHECK(event.passed());
  stream.synchronize();
  CHECK(stream.idle());
}

TEST(a_stream_waits_for_another) {
  const auto context = test::context();
  const cuda::Stream first(context, "first");
  const cuda::Stream second(context, "second");
  cuda::Event event(context);
  std::atomic<bool> go = false;
  std::atomic<bool> firstDone = false;
  bool seen = false;
  first.callOnHost([&] {
    while (!go) std::this_thread::yield();
    firstDone = true;
  });
  first.record(event);
  second.wait(event);
  second.callOnHost([&] { seen = firstDone; });
  CHECK(!second.idle());
  go = true;
  second.synchronize();
  CHECK(seen);
}

TEST(time_passes_between_events) {
  test::slowDown(2'000'000);
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  cuda::Event start(context, {.timing = true});
  cuda::Event end(context, {.timing = true});
  stream.record(start);
  stream.record(end);
  end.wait();
  // The record of `end` is an operation of 2 ms of its own.
  CHECK(end.millisecondsSince(start) >= 2);
}

TEST(time_needs_events_made_for_it) {
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  cuda::Event start(context);
  cuda::Event end(context);
  stream.record(start);
  stream.record(end);
  end.wait();
  const auto error = CHECK_THROWS(end.millisecondsSince(start), cuda::CudaError);
  CHECK_EQUAL(error.call(), "cuEventElapsedTime");
}

TEST(what_a_host_function_throws_is_dropped) {
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  bool after = false;
  stream.callOnHost([] { throw std::runtime_error("nobody is there"); });
  stream.callOnHost([&] { after = true; });
  stream.synchronize();
  CHECK(after);
}

TEST(a_host_function_that_is_refused_is_freed) {
  const cuda::Stream stream(test::context(), "stream");
  auto held = std::make_shared<int>(1);
  simulatorFail("cuLaunchHostFunc", 1, 1, CUDA_ERROR_LAUNCH_FAILED);
  CHECK_THROWS(stream.callOnHost([held] {}), cuda::CudaError);
  CHECK_EQUAL(held.use_count(), 1);
}

TEST(a_stream_destroyed_with_work_queued_still_does_it) {
  const auto context = test::context();
  const cuda::Stream other(context, "other");
  cuda::Event event(context);
  std::atomic<bool> called = false;
  {
    const cuda::Stream brief(context, "brief");
    brief.callOnHost([&] { called = true; });
    brief.record(event);
  }
  event.wait();
  CHECK(called);
}

TEST(a_shared_stream_lives_until_its_last_owner) {
  auto first = std::make_unique<cuda::Stream>(test::context(), "stream");
  const cuda::Stream second = first->share();
  CHECK(*first == second);
  CHECK_EQUAL(second.name(), "stream");
  first.reset();
  second.synchronize();
}

TEST(equal_names_are_not_equal_streams) {
  const auto context = test::context();
  const cuda::Stream first(context, "stream");
  const cuda::Stream second(context, "stream");
  CHECK(!(first == second));
}

TEST(events_move) {
  const auto context = test::context();
  cuda::Event first(context);
  cuda::Event second(std::move(first));
  cuda::Event third(context);
  third = std::move(second);
  CHECK(third.passed());
}

TEST(errors_name_the_stream) {
  simulatorFail("cuStreamCreate", 1, 1, CUDA_ERROR_OUT_OF_MEMORY);
  const auto error = CHECK_THROWS(cuda::Stream(test::context(), "prefetch"), cuda::CudaError);
  CHECK_CONTAINS(error.what(), "cuStreamCreate failed with CUDA_ERROR_OUT_OF_MEMORY: out of memory: prefetch");
}
