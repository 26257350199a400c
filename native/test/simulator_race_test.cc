// The simulated driver as a judge of order: what is a race, and what is not. Straight on the driver's functions.
#include <array>
#include <atomic>

#include "cuda/event.h"
#include "cuda/stream.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;
using test::takeOnlyFinding;

namespace {

constexpr std::size_t size = 4096;

// Two streams, an event, and memory of each kind; nothing of it under any pool.
struct Bench {
  std::shared_ptr<const cuda::Context> context = test::context();
  cuda::Current current{*context};
  cuda::Stream first{context, "first"};
  cuda::Stream second{context, "second"};
  cuda::Event event{context};
  CUdeviceptr device = 0;
  CUdeviceptr other = 0;
  void* pinned = nullptr;

  Bench() {
    cuda::check(cuda::driver().cuMemAlloc(&device, size), "cuMemAlloc");
    cuda::check(cuda::driver().cuMemAlloc(&other, size), "cuMemAlloc");
    cuda::check(cuda::driver().cuMemHostAlloc(&pinned, size, 0), "cuMemHostAlloc");
  }
  ~Bench() {
    // Freeing memory with work in flight would be a finding of its own.
    cuda::driver().cuStreamSynchronize(first.handle());
    cuda::driver().cuStreamSynchronize(second.handle());
    cuda::driver().cuMemFree(device);
    cuda::driver().cuMemFree(other);
    cuda::driver().cuMemFreeHost(pinned);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  void upload(const cuda::Stream& stream, std::size_t offset = 0, std::size_t bytes = size) {
    cuda::check(
        cuda::driver().cuMemcpyHtoDAsync(device + offset, static_cast<char*>(pinned) + offset, bytes, stream.handle()),
        "cuMemcpyHtoDAsync");
  }
  void download(const cuda::Stream& stream) {
    cuda::check(cuda::driver().cuMemcpyDtoHAsync(pinned, device, size, stream.handle()), "cuMemcpyDtoHAsync");
  }
  void fill(const cuda::Stream& stream, CUdeviceptr to, std::size_t offset = 0, std::size_t bytes = size) {
    cuda::check(cuda::driver().cuMemsetD8Async(to + offset, 7, bytes, stream.handle()), "cuMemsetD8Async");
  }
  void readIntoOther(const cuda::Stream& stream) {
    cuda::check(cuda::driver().cuMemcpyDtoDAsync(other, device, size, stream.handle()), "cuMemcpyDtoDAsync");
  }
  void order(const cuda::Stream& before, const cuda::Stream& after) {
    before.record(event);
    after.wait(event);
  }
};

}  // namespace

TEST(planted_missing_event_wait_is_found) {
  Bench bench;
  bench.upload(bench.first);
  bench.first.record(bench.event);
  // Here second.wait(event) is left out.
  bench.readIntoOther(bench.second);
  const std::string message = takeOnlyFinding(SIMULATOR_RACE);
  CHECK_CONTAINS(message, "cuMemcpyDtoDAsync on stream 2 reads bytes 0 to 4096 of device memory 1");
  CHECK_CONTAINS(message, "which cuMemcpyHtoDAsync on stream 1 wrote");
}

TEST(the_event_wait_makes_it_right) {
  Bench bench;
  bench.upload(bench.first);
  bench.order(bench.first, bench.second);
  bench.readIntoOther(bench.second);
}

TEST(a_write_over_an_unordered_read_is_a_race) {
  Bench bench;
  bench.readIntoOther(bench.first);
  bench.fill(bench.second, bench.device);
  CHECK_CONTAINS(takeOnlyFinding(SIMULATOR_RACE), "which cuMemcpyDtoDAsync on stream 1 read");
}

TEST(a_write_over_an_unordered_write_is_a_race) {
  Bench bench;
  bench.fill(bench.first, bench.device);
  bench.fill(bench.second, bench.device);
  takeOnlyFinding(SIMULATOR_RACE);
}

TEST(reads_do_not_race) {
  Bench bench;
  bench.readIntoOther(bench.first);
  bench.download(bench.second);
}

TEST(only_bytes_in_common_race) {
  Bench bench;
  bench.fill(bench.first, bench.device, 0, 1000);
  bench.fill(bench.second, bench.device, 1000, 3096);
  CHECK(test::takeFindings().empty());
  bench.fill(bench.second, bench.device, 999, 1);
  CHECK_CONTAINS(takeOnlyFinding(SIMULATOR_RACE), "bytes 999 to 1000");
}

TEST(an_event_orders_only_what_came_before_its_record) {
  Bench bench;
  bench.first.record(bench.event);
  bench.upload(bench.first);
  bench.second.wait(bench.event);
  bench.readIntoOther(bench.second);
  takeOnlyFinding(SIMULATOR_RACE);
}

TEST(a_wait_is_for_the_record_there_was) {
  Bench bench;
  bench.second.wait(bench.event);
  bench.upload(bench.first);
  bench.first.record(bench.event);
  bench.readIntoOther(bench.second);
  takeOnlyFinding(SIMULATOR_RACE);
}

TEST(order_passes_through_a_third_stream) {
  Bench bench;
  const cuda::Stream third(bench.context, "third");
  cuda::Event second(bench.context);
  bench.upload(bench.first);
  bench.order(bench.first, third);
  third.record(second);
  bench.second.wait(second);
  bench.readIntoOther(bench.second);
}

TEST(planted_host_read_before_the_copy_is_done_is_found) {
  Bench bench;
  bench.fill(bench.first, bench.device);
  bench.download(bench.first);
  simulatorHostAccess(bench.pinned, 16, 0);
  CHECK_CONTAINS(takeOnlyFinding(SIMULATOR_RACE), "the host reads bytes 0 to 16 of pinned memory");
}

TEST(host_writes_race_with_uploads_in_flight) {
  Bench bench;
  bench.upload(bench.first);
  simulatorHostAccess(bench.pinned, 16, 1);
  takeOnlyFinding(SIMULATOR_RACE);
}

TEST(host_reads_do_not_race_with_uploads) {
  Bench bench;
  bench.upload(bench.first);
  simulatorHostAccess(bench.pinned, size, 0);
}

TEST(the_host_may_touch_memory_after_any_kind_of_wait) {
  enum class Wait { streamSynchronize, eventSynchronize, streamQuery, eventQuery };
  for (const Wait wait : {Wait::streamSynchronize, Wait::eventSynchronize, Wait::streamQuery, Wait::eventQuery}) {
    Bench bench;
    bench.download(bench.first);
    bench.first.record(bench.event);
    switch (wait) {
      case Wait::streamSynchronize:
        bench.first.synchronize();
        break;
      case Wait::eventSynchronize:
        bench.event.wait();
        break;
      case Wait::streamQuery:
        while (!bench.first.idle()) continue;
        break;
      case Wait::eventQuery:
        while (!bench.event.passed()) continue;
        break;
    }
    simulatorHostAccess(bench.pinned, size, 1);
    CHECK(test::takeFindings().empty());
  }
}

TEST(waiting_for_one_stream_says_nothing_of_another) {
  Bench bench;
  bench.download(bench.first);
  bench.second.synchronize();
  simulatorHostAccess(bench.pinned, size, 0);
  takeOnlyFinding(SIMULATOR_RACE);
}

TEST(an_event_that_has_not_passed_teaches_the_host_nothing) {
  Bench bench;
  test::slowDown(20'000'000);
  bench.download(bench.first);
  bench.first.record(bench.event);
  CHECK(!bench.event.passed());
  simulatorHostAccess(bench.pinned, size, 0);
  takeOnlyFinding(SIMULATOR_RACE);
}

TEST(work_queued_after_a_host_wait_is_ordered_after_what_was_waited_for) {
  Bench bench;
  bench.upload(bench.first);
  bench.first.synchronize();
  bench.readIntoOther(bench.second);
}

TEST(a_host_function_is_in_the_order_of_its_stream) {
  Bench bench;
  std::atomic<bool> called = false;
  bench.download(bench.first);
  bench.first.callOnHost([&] {
    simulatorHostAccess(bench.pinned, size, 1);
    called = true;
  });
  // Queued before the function runs, ordered after it.
  bench.upload(bench.first);
  bench.order(bench.first, bench.second);
  bench.download(bench.second);
  bench.second.synchronize();
  CHECK(called);
}

TEST(a_host_function_races_with_other_streams) {
  Bench bench;
  bench.download(bench.second);
  bench.first.callOnHost([&] { simulatorHostAccess(bench.pinned, size, 0); });
  bench.first.synchronize();
  takeOnlyFinding(SIMULATOR_RACE);
}

TEST(a_stream_that_is_gone_still_counts) {
  Bench bench;
  {
    const cuda::Stream brief(bench.context, "brief");
    bench.fill(brief, bench.device);
  }
  // Not known to be done: the next stream must not pass for the one that is gone.
  const cuda::Stream next(bench.context, "next");
  bench.fill(next, bench.device);
  takeOnlyFinding(SIMULATOR_RACE);
  next.synchronize();
}

TEST(streams_come_and_go) {
  Bench bench;
  for (int i = 0; i < 100; ++i) {
    const cuda::Stream brief(bench.context, "brief");
    bench.fill(brief, bench.device);
    brief.synchronize();
  }
}
