// Copies: the bytes, the bounds, and that both blocks learn of them.
#include "cuda/copy.h"

#include <algorithm>
#include <stdexcept>

#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

namespace {

struct Bench {
  std::shared_ptr<const cuda::Context> context = test::context();
  cuda::Stream stream{context, "stream"};
  cuda::PinnedPool pinned{context};
  cuda::DevicePool device{context};
};

}  // namespace

TEST(bytes_go_there_and_back) {
  Bench bench;
  auto from = bench.pinned.allocate(256);
  auto to = bench.pinned.allocate(256);
  auto first = bench.device.allocate(256, bench.stream);
  auto second = bench.device.allocate(256, bench.stream);
  for (std::size_t i = 0; i < 256; ++i) from.data()[i] = static_cast<std::byte>(i);
  cuda::copyToDevice(bench.stream, first, 0, from, 0, 256);
  cuda::fill(bench.stream, second, 0, 256, 0xEE);
  cuda::copyOnDevice(bench.stream, second, 100, first, 10, 50);
  cuda::copyToHost(bench.stream, to, 0, second, 0, 256);
  bench.stream.synchronize();
  simulatorHostAccess(to.data(), 256, 0);
  for (std::size_t i = 0; i < 256; ++i) {
    const std::size_t expected = i >= 100 && i < 150 ? i - 90 : 0xEE;
    CHECK_EQUAL(static_cast<std::size_t>(to.data()[i]), expected);
  }
}

TEST(ranges_outside_a_block_are_refused_before_anything_is_queued) {
  Bench bench;
  auto pinned = bench.pinned.allocate(100);
  auto device = bench.device.allocate(100, bench.stream);
  auto other = bench.device.allocate(200, bench.stream);
  struct Range {
    std::size_t to;
    std::size_t from;
    std::size_t bytes;
  };
  const std::uint64_t before = simulatorCalls(nullptr);
  for (const Range range : {Range{0, 0, 101}, Range{1, 0, 100}, Range{0, 1, 100}, Range{101, 0, 0}, Range{0, 101, 0},
                            Range{SIZE_MAX, 0, 2}, Range{1, 0, SIZE_MAX}}) {
    const auto& [to, from, bytes] = range;
    CHECK_THROWS(cuda::copyToDevice(bench.stream, device, to, pinned, from, bytes), std::out_of_range);
    CHECK_THROWS(cuda::copyToHost(bench.stream, pinned, to, device, from, bytes), std::out_of_range);
  }
  CHECK_THROWS(cuda::copyOnDevice(bench.stream, device, 0, other, 0, 101), std::out_of_range);
  CHECK_THROWS(cuda::copyOnDevice(bench.stream, other, 0, device, 0, 101), std::out_of_range);
  const auto error = CHECK_THROWS(cuda::fill(bench.stream, device, 50, 51, 0), std::out_of_range);
  CHECK_EQUAL(std::string(error.what()),
              "destination of a copy: 51 bytes at offset 50 do not fit a block of 100 bytes");
  CHECK_EQUAL(simulatorCalls(nullptr), before);
}

TEST(nothing_to_copy_is_nothing_queued) {
  Bench bench;
  auto pinned = bench.pinned.allocate(100);
  auto device = bench.device.allocate(100, bench.stream);
  const std::uint64_t before = simulatorCalls(nullptr);
  cuda::copyToDevice(bench.stream, device, 100, pinned, 100, 0);
  CHECK_EQUAL(simulatorCalls(nullptr), before);
}

TEST(copies_work_on_threads_without_a_context) {
  Bench bench;
  auto pinned = bench.pinned.allocate(100);
  auto device = bench.device.allocate(100, bench.stream);
  CHECK_EQUAL(simulatorCalls("cuCtxPushCurrent_v2") > 0, true);
  cuda::copyToDevice(bench.stream, device, 0, pinned, 0, 100);
  CUcontext current = nullptr;
  cuda::driver().cuCtxGetCurrent(&current);
  CHECK(current == nullptr);
}

TEST(a_copy_that_cannot_be_noted_was_waited_for) {
  for (const char* symbol : {"cuEventCreate", "cuEventRecord"}) {
    Bench bench;
    test::slowDown(2'000'000);
    auto pinned = bench.pinned.allocate(100);
    auto device = bench.device.allocate(100, bench.stream);
    simulatorFail(symbol, 1, 1, CUDA_ERROR_UNKNOWN);
    CHECK_THROWS(cuda::copyToDevice(bench.stream, device, 0, pinned, 0, 100), cuda::CudaError);
    CHECK(bench.stream.idle());
    simulatorHostAccess(pinned.data(), 100, 1);
  }
}
