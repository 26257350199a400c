// The pinned pool: reuse, limits, trim, and blocks with copies in flight.
#include "cuda/pinned_pool.h"

#include <atomic>
#include <cstring>
#include <future>
#include <optional>
#include <thread>

#include "cuda/copy.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

namespace {

// A stream that does nothing more until it is opened.
class Gate {
 public:
  explicit Gate(const cuda::Stream& stream) {
    stream.callOnHost([open = open_] {
      while (!*open) std::this_thread::yield();
    });
  }
  ~Gate() { open(); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  void open() { *open_ = true; }

 private:
  std::shared_ptr<std::atomic<bool>> open_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace

TEST(pinned_blocks_are_reused_within_their_class) {
  cuda::PinnedPool pool(test::context());
  auto block = pool.allocate(5000);
  CHECK_EQUAL(block.size(), 5000U);
  CHECK_EQUAL(block.bytes().size(), 5000U);
  std::memset(block.data(), 1, block.size());
  auto* const address = block.data();
  block.reset();
  CHECK(!block);
  CHECK(pool.allocate(8192).data() == address);
  CHECK(pool.allocate(8193).data() != address);
  const auto stats = pool.stats();
  CHECK_EQUAL(stats.allocations, 2U);
  CHECK_EQUAL(stats.reuses, 1U);
}

TEST(pinned_pool_stats_follow_the_blocks) {
  cuda::PinnedPool pool(test::context());
  {
    const auto first = pool.allocate(4096);
    const auto second = pool.allocate(8192);
    const auto stats = pool.stats();
    CHECK_EQUAL(stats.reservedBytes, 12288U);
    CHECK_EQUAL(stats.usedBytes, 12288U);
    CHECK_EQUAL(stats.usedBlocks, 2U);
    CHECK_EQUAL(stats.idleBlocks, 0U);
  }
  const auto third = pool.allocate(1);
  const auto stats = pool.stats();
  CHECK_EQUAL(stats.reservedBytes, 12288U);
  CHECK_EQUAL(stats.usedBytes, 4096U);
  CHECK_EQUAL(stats.highWaterBytes, 12288U);
  CHECK_EQUAL(stats.usedBlocks, 1U);
  CHECK_EQUAL(stats.idleBlocks, 1U);
}

TEST(trim_unpins_the_largest_first_down_to_what_is_kept) {
  cuda::PinnedPool pool(test::context());
  {
    const auto small = pool.allocate(4096);
    const auto middle = pool.allocate(8192);
    const auto large = pool.allocate(16384);
  }
  CHECK_EQUAL(pool.trim(40000), 0U);
  CHECK_EQUAL(pool.trim(12288), 16384U);
  CHECK_EQUAL(pool.stats().reservedBytes, 12288U);
  CHECK_EQUAL(pool.trim(), 12288U);
  CHECK_EQUAL(pool.stats().reservedBytes, 0U);
  CHECK_EQUAL(simulatorCalls("cuMemFreeHost"), 3U);
}

TEST(a_pinned_block_in_flight_is_neither_reused_nor_trimmed) {
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  cuda::PinnedPool pool(context);
  cuda::DevicePool devicePool(context);
  auto device = devicePool.allocate(4096, stream);
  Gate gate(stream);
  std::byte* address = nullptr;
  {
    auto block = pool.allocate(4096);
    address = block.data();
    cuda::copyToDevice(stream, device, 0, block, 0, 4096);
  }
  CHECK(pool.allocate(4096).data() != address);
  CHECK_EQUAL(pool.trim(), 4096U);
  CHECK_EQUAL(pool.stats().idleBlocks, 1U);
  gate.open();
  stream.synchronize();
  CHECK(pool.allocate(4096).data() == address);
}

TEST(planted_reuse_of_a_pinned_block_whose_copy_was_not_noted_is_found) {
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  cuda::PinnedPool pool(context);
  cuda::DevicePool devicePool(context);
  auto device = devicePool.allocate(4096, stream);
  {
    const auto block = pool.allocate(4096);
    const cuda::Current current(*context);
    // Here block.usedBy(stream) is left out.
    cuda::driver().cuMemcpyHtoDAsync(device.address(), block.data(), 4096, stream.handle());
  }
  const auto block = pool.allocate(4096);
  CHECK_CONTAINS(test::takeOnlyFinding(SIMULATOR_RACE), "which cuMemcpyHtoDAsync on stream 1 read");
  stream.synchronize();
}

TEST(at_its_limit_the_pinned_pool_waits_for_copies_in_flight) {
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  cuda::PinnedPool pool(context, {.name = "staging", .limitBytes = 4096});
  cuda::DevicePool devicePool(context);
  auto device = devicePool.allocate(4096, stream);
  Gate gate(stream);
  {
    auto block = pool.allocate(4096);
    cuda::copyToDevice(stream, device, 0, block, 0, 4096);
  }
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    gate.open();
  });
  const auto block = pool.allocate(4096);
  CHECK_EQUAL(pool.stats().reuses, 1U);
  opener.join();
}

TEST(at_its_limit_the_pinned_pool_frees_other_classes) {
  cuda::PinnedPool pool(test::context(), {.name = "staging", .limitBytes = 8192});
  { const auto block = pool.allocate(4096); }
  const auto block = pool.allocate(8192);
  CHECK_EQUAL(pool.stats().reservedBytes, 8192U);
}

TEST(beyond_its_limit_the_pinned_pool_says_what_it_holds) {
  cuda::PinnedPool pool(test::context(), {.name = "staging", .limitBytes = 8192});
  const auto block = pool.allocate(4096);
  const auto error = CHECK_THROWS(pool.allocate(5000), cuda::CudaError);
  CHECK_EQUAL(error.result(), CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_CONTAINS(error.description(), "staging pool, 5000 bytes with 4096 in use and a limit of 8192");
  CHECK_EQUAL(pool.stats().reservedBytes, 4096U);
}

TEST(when_the_machine_has_no_more_idle_blocks_go_first) {
  SimulatorConfig config = simulatorDefaults();
  config.pinnedBytes = 10'000;
  simulatorConfigure(&config);
  cuda::PinnedPool pool(test::context());
  { const auto block = pool.allocate(8192); }
  const auto block = pool.allocate(4096);
  const auto another = pool.allocate(4096);
  CHECK_EQUAL(CHECK_THROWS(pool.allocate(4096), cuda::CudaError).result(), CUDA_ERROR_OUT_OF_MEMORY);
}

TEST(absurd_sizes_are_out_of_memory) {
  cuda::PinnedPool pool(test::context());
  for (const std::size_t bytes : {std::size_t{1} << 40, std::size_t{1} << 63, SIZE_MAX}) {
    const auto error = CHECK_THROWS(pool.allocate(bytes), cuda::CudaError);
    CHECK_EQUAL(error.result(), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQUAL(error.description(), "out of memory: pinned pool, " + std::to_string(bytes) + " bytes with 0 in use");
  }
}

TEST(a_pool_that_ends_frees_what_is_idle_at_once) {
  std::optional<cuda::PinnedPool> pool(std::in_place, test::context());
  auto kept = pool->allocate(4096);
  { const auto idle = pool->allocate(4096); }
  pool.reset();
  CHECK_EQUAL(simulatorCalls("cuMemFreeHost"), 1U);
  kept.reset();
  CHECK_EQUAL(simulatorCalls("cuMemFreeHost"), 2U);
}

TEST(a_thread_waits_for_memory_that_another_is_freeing) {
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  cuda::PinnedPool pool(context, {.name = "staging", .limitBytes = 8192});
  cuda::DevicePool devicePool(context);
  auto device = devicePool.allocate(8192, stream);
  Gate gate(stream);
  {
    auto block = pool.allocate(8192);
    cuda::copyToDevice(stream, device, 0, block, 0, 8192);
  }
  // One of them takes the block to wait for its copy; the other must not take its absence for the end of memory.
  const auto allocate = [&] { return pool.allocate(4096); };
  auto first = std::async(std::launch::async, allocate);
  auto second = std::async(std::launch::async, allocate);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  gate.open();
  const cuda::PinnedBlock blocks[] = {first.get(), second.get()};
  CHECK_EQUAL(pool.stats().usedBytes, 8192U);
}

TEST(pinned_blocks_outlive_their_pool) {
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  cuda::DevicePool devicePool(context);
  auto device = devicePool.allocate(4096, stream);
  test::slowDown(2'000'000);
  cuda::PinnedBlock kept;
  cuda::PinnedBlock inFlight;
  {
    cuda::PinnedPool pool(context);
    kept = pool.allocate(4096);
    inFlight = pool.allocate(4096);
    const auto idle = pool.allocate(4096);
  }
  std::memset(kept.data(), 1, kept.size());
  cuda::copyToDevice(stream, device, 0, inFlight, 0, 4096);
  // Freed when the copy is done, on a thread that never heard of CUDA.
  std::thread([block = std::move(inFlight)]() mutable { block.reset(); }).join();
}

TEST(pinned_blocks_move) {
  cuda::PinnedPool pool(test::context());
  auto first = pool.allocate(100);
  auto* const address = first.data();
  cuda::PinnedBlock second(std::move(first));
  CHECK(!first);
  CHECK(second.data() == address);
  auto third = pool.allocate(100);
  third = std::move(second);
  CHECK(third.data() == address);
  third.reset();
  third.reset();
  CHECK_EQUAL(pool.stats().usedBlocks, 1U);
}

TEST(zero_bytes_are_a_block_like_any_other) {
  cuda::PinnedPool pool(test::context());
  const auto block = pool.allocate(0);
  CHECK(block.data() != nullptr);
  CHECK_EQUAL(block.size(), 0U);
}
