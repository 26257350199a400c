// The device pool: reuse in the order of streams.
#include "cuda/device_pool.h"

#include "cuda/copy.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

namespace {

struct Bench {
  std::shared_ptr<const cuda::Context> context = test::context();
  cuda::Stream first{context, "first"};
  cuda::Stream second{context, "second"};
  cuda::DevicePool pool{context};
};

std::uint64_t waits() {
  return simulatorCalls("cuStreamWaitEvent");
}

}  // namespace

TEST(the_same_stream_reuses_a_device_block_without_a_wait) {
  Bench bench;
  test::slowDown(1'000'000);
  CUdeviceptr address = 0;
  for (int i = 0; i < 3; ++i) {
    auto block = bench.pool.allocate(1000, bench.first);
    if (address == 0) address = block.address();
    CHECK_EQUAL(block.address(), address);
    cuda::fill(bench.first, block, 0, 1000, 1);
  }
  CHECK_EQUAL(waits(), 0U);
  CHECK_EQUAL(bench.pool.stats().allocations, 1U);
}

TEST(another_stream_waits_for_the_block_it_reuses) {
  Bench bench;
  test::slowDown(2'000'000);
  CUdeviceptr address = 0;
  {
    auto block = bench.pool.allocate(1000, bench.first);
    address = block.address();
    cuda::fill(bench.first, block, 0, 1000, 1);
  }
  auto block = bench.pool.allocate(1000, bench.second);
  CHECK_EQUAL(block.address(), address);
  CHECK_EQUAL(waits(), 1U);
  // A race, had the stream not been made to wait.
  cuda::fill(bench.second, block, 0, 1000, 2);
}

TEST(uses_on_other_streams_are_waited_for_as_well) {
  Bench bench;
  test::slowDown(2'000'000);
  {
    auto block = bench.pool.allocate(1000, bench.first);
    auto target = bench.pool.allocate(1000, bench.second);
    cuda::fill(bench.first, block, 0, 1000, 1);
    cuda::Event filled(bench.context);
    bench.first.record(filled);
    bench.second.wait(filled);
    cuda::copyOnDevice(bench.second, target, 0, block, 0, 1000);
  }
  // Home again, but the other stream still reads it.
  auto block = bench.pool.allocate(1000, bench.first);
  auto another = bench.pool.allocate(1000, bench.first);
  cuda::fill(bench.first, block, 0, 1000, 2);
  cuda::fill(bench.first, another, 0, 1000, 2);
}

TEST(a_block_that_needs_no_wait_is_preferred) {
  Bench bench;
  test::slowDown(5'000'000);
  CUdeviceptr own = 0;
  {
    const auto mine = bench.pool.allocate(1000, bench.first);
    // Destroyed before the other, so it is the one longest idle.
    const auto others = bench.pool.allocate(1000, bench.second);
    own = mine.address();
  }
  const auto block = bench.pool.allocate(1000, bench.first);
  CHECK_EQUAL(block.address(), own);
  CHECK_EQUAL(waits(), 0U);
}

TEST(planted_work_on_a_freed_device_block_is_found_when_it_is_reused) {
  Bench bench;
  CUdeviceptr freed = 0;
  {
    const auto block = bench.pool.allocate(1000, bench.first);
    freed = block.address();
  }
  {
    const cuda::Current current(*bench.context);
    cuda::driver().cuMemsetD8Async(freed, 1, 1000, bench.first.handle());
  }
  auto block = bench.pool.allocate(1000, bench.second);
  CHECK_EQUAL(block.address(), freed);
  cuda::fill(bench.second, block, 0, 1000, 2);
  test::takeOnlyFinding(SIMULATOR_RACE);
  bench.first.synchronize();
}

TEST(device_blocks_outlive_pool_stream_and_context) {
  cuda::DeviceBlock kept;
  {
    Bench bench;
    kept = bench.pool.allocate(1000, bench.first);
    cuda::fill(bench.first, kept, 0, 1000, 1);
    test::slowDown(2'000'000);
    auto inFlight = bench.pool.allocate(2000, bench.second);
    cuda::fill(bench.second, inFlight, 0, 2000, 1);
  }
}

TEST(when_the_card_has_no_more_idle_blocks_go_back_to_it) {
  SimulatorConfig config = simulatorDefaults();
  config.deviceBytes = 8192;
  config.operationNs = 1'000'000;
  simulatorConfigure(&config);
  Bench bench;
  {
    auto block = bench.pool.allocate(4096, bench.first);
    cuda::fill(bench.first, block, 0, 4096, 1);
  }
  // Waits for the fill rather than stop the device.
  const auto block = bench.pool.allocate(8192, bench.second);
  CHECK_EQUAL(bench.pool.stats().reservedBytes, 8192U);
  const auto error = CHECK_THROWS(bench.pool.allocate(1, bench.first), cuda::CudaError);
  CHECK_EQUAL(error.call(), "cuMemAlloc");
  CHECK_EQUAL(error.result(), CUDA_ERROR_OUT_OF_MEMORY);
}

TEST(trim_leaves_device_blocks_with_work_in_flight) {
  Bench bench;
  test::slowDown(5'000'000);
  {
    auto busy = bench.pool.allocate(1024, bench.first);
    cuda::fill(bench.first, busy, 0, 1024, 1);
  }
  CHECK_EQUAL(bench.pool.trim(), 0U);
  bench.first.synchronize();
  CHECK_EQUAL(bench.pool.trim(), 1024U);
}

TEST(a_block_whose_return_cannot_be_recorded_comes_back_settled) {
  Bench bench;
  test::slowDown(2'000'000);
  CUdeviceptr address = 0;
  {
    auto block = bench.pool.allocate(1000, bench.first);
    address = block.address();
    cuda::fill(bench.first, block, 0, 1000, 1);
    simulatorFail("cuEventRecord", 1, 1, CUDA_ERROR_UNKNOWN);
  }
  CHECK(bench.first.idle());
  auto block = bench.pool.allocate(1000, bench.second);
  CHECK_EQUAL(block.address(), address);
  cuda::fill(bench.second, block, 0, 1000, 2);
}

TEST(events_are_reused_as_well) {
  Bench bench;
  for (int i = 0; i < 50; ++i) {
    const cuda::Stream& stream = i % 2 == 0 ? bench.first : bench.second;
    auto block = bench.pool.allocate(1000, stream);
    cuda::fill(stream, block, 0, 1000, 1);
    stream.synchronize();
  }
  CHECK(simulatorCalls("cuEventCreate") <= 2);
}

TEST(the_work_on_a_block_never_stalls_the_host) {
  Bench bench;
  for (int i = 0; i < 10; ++i) {
    auto block = bench.pool.allocate(1000, i % 2 == 0 ? bench.first : bench.second);
    cuda::fill(i % 2 == 0 ? bench.first : bench.second, block, 0, 1000, 1);
  }
  CHECK_EQUAL(simulatorCalls("cuStreamSynchronize"), 0U);
  CHECK_EQUAL(simulatorCalls("cuEventSynchronize"), 0U);
}

TEST(blocks_may_be_used_by_streams_of_other_devices) {
  SimulatorConfig config = simulatorDefaults();
  config.devices = 2;
  config.operationNs = 1'000'000;
  simulatorConfigure(&config);
  Bench bench;
  const auto other = cuda::Context::retain(1);
  const cuda::Stream stream(other, "of GPU 1");
  cuda::PinnedPool pinned(bench.context);
  cuda::DevicePool pool(other);
  const std::byte* address = nullptr;
  {
    auto host = pinned.allocate(4096);
    auto target = pool.allocate(4096, stream);
    cuda::copyToDevice(stream, target, 0, host, 0, 4096);
    address = host.data();
  }
  CHECK_EQUAL(simulatorCalls("cuStreamSynchronize"), 0U);
  // The copy is under way, so the host gets other memory; then the same, with events of its own device again.
  CHECK(pinned.allocate(4096).data() != address);
  stream.synchronize();
  for (int i = 0; i < 2; ++i) {
    auto host = pinned.allocate(4096);
    auto target = bench.pool.allocate(4096, bench.first);
    cuda::copyToDevice(bench.first, target, 0, host, 0, 4096);
    bench.first.synchronize();
  }
  const auto error = CHECK_THROWS(bench.pool.allocate(1000, stream), std::invalid_argument);
  CHECK_EQUAL(std::string(error.what()), "stream 'of GPU 1' is of GPU 1, the memory of GPU 0");
}
