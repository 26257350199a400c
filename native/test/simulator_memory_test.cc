// The simulated driver as a judge of memory, handles and stalls.
#include <cstring>
#include <functional>
#include <vector>

#include "cuda/event.h"
#include "cuda/stream.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;
using test::takeOnlyFinding;

namespace {

struct Bench {
  std::shared_ptr<const cuda::Context> context = test::context();
  cuda::Current current{*context};
  cuda::Stream stream{context, "stream"};

  static CUdeviceptr device(std::size_t bytes) {
    CUdeviceptr address = 0;
    cuda::check(cuda::driver().cuMemAlloc(&address, bytes), "cuMemAlloc");
    return address;
  }
  static void* pinned(std::size_t bytes) {
    void* address = nullptr;
    cuda::check(cuda::driver().cuMemHostAlloc(&address, bytes, 0), "cuMemHostAlloc");
    return address;
  }
};

}  // namespace

TEST(planted_double_free_is_found) {
  Bench bench;
  const CUdeviceptr memory = bench.device(100);
  CHECK_EQUAL(cuda::driver().cuMemFree(memory), CUDA_SUCCESS);
  CHECK_EQUAL(cuda::driver().cuMemFree(memory), CUDA_ERROR_INVALID_VALUE);
  CHECK_CONTAINS(takeOnlyFinding(SIMULATOR_DOUBLE_FREE), "device memory 1 (100 bytes)");

  void* const host = bench.pinned(100);
  CHECK_EQUAL(cuda::driver().cuMemFreeHost(host), CUDA_SUCCESS);
  CHECK_EQUAL(cuda::driver().cuMemFreeHost(host), CUDA_ERROR_INVALID_VALUE);
  CHECK_CONTAINS(takeOnlyFinding(SIMULATOR_DOUBLE_FREE), "pinned memory 2 (100 bytes)");
}

TEST(planted_leaks_are_found_once_each) {
  Bench bench;
  const CUdeviceptr memory = bench.device(100);
  void* const host = bench.pinned(200);
  CUevent event = nullptr;
  cuda::check(cuda::driver().cuEventCreate(&event, 0), "cuEventCreate");
  simulatorFindLeaks();
  simulatorFindLeaks();
  // The stream and the context of the bench are alive as well.
  const auto found = test::takeFindings();
  CHECK_EQUAL(found.size(), 5U);
  for (const auto& each : found) CHECK_EQUAL(each.kind, SIMULATOR_LEAK);
  cuda::driver().cuMemFree(memory);
  cuda::driver().cuMemFreeHost(host);
  cuda::driver().cuEventDestroy(event);
}

TEST(memory_that_outlives_its_context_is_a_leak) {
  {
    Bench bench;
    bench.device(100);
  }
  CHECK_CONTAINS(takeOnlyFinding(SIMULATOR_LEAK), "device memory 1 (100 bytes) outlives its context");
}

TEST(planted_use_after_free_is_found) {
  Bench bench;
  const CUdeviceptr memory = bench.device(100);
  void* const host = bench.pinned(100);
  cuda::driver().cuMemFree(memory);
  CHECK_EQUAL(cuda::driver().cuMemcpyHtoDAsync(memory, host, 100, bench.stream.handle()), CUDA_ERROR_INVALID_VALUE);
  CHECK_CONTAINS(takeOnlyFinding(SIMULATOR_USE_AFTER_FREE), "writes device memory 1 (100 bytes) after it was freed");
  cuda::driver().cuMemFreeHost(host);
  simulatorHostAccess(host, 1, 0);
  CHECK_CONTAINS(takeOnlyFinding(SIMULATOR_USE_AFTER_FREE), "the host reads pinned memory");
}

TEST(accesses_beyond_the_end_are_found) {
  Bench bench;
  const CUdeviceptr memory = bench.device(100);
  CHECK_EQUAL(cuda::driver().cuMemsetD8Async(memory + 1, 0, 100, bench.stream.handle()), CUDA_ERROR_INVALID_VALUE);
  CHECK_CONTAINS(takeOnlyFinding(SIMULATOR_OUT_OF_BOUNDS), "100 bytes at offset 1 of device memory 1");
  CHECK_EQUAL(cuda::driver().cuMemsetD8Async(8, 0, 1, bench.stream.handle()), CUDA_ERROR_INVALID_VALUE);
  takeOnlyFinding(SIMULATOR_OUT_OF_BOUNDS);
  cuda::driver().cuMemFree(memory);
}

TEST(host_code_that_writes_beyond_pinned_memory_is_found_when_it_is_freed) {
  Bench bench;
  auto* const host = static_cast<char*>(bench.pinned(100));
  host[100] = 0;
  CHECK_EQUAL(cuda::driver().cuMemFreeHost(host), CUDA_SUCCESS);
  takeOnlyFinding(SIMULATOR_OUT_OF_BOUNDS);
}

TEST(frees_that_do_not_fit_the_memory_are_found) {
  Bench bench;
  const CUdeviceptr memory = bench.device(100);
  const std::vector<std::function<CUresult()>> wrong{
      [&] { return cuda::driver().cuMemFree(memory + 1); },
      [&] { return cuda::driver().cuMemFree(12345); },
      [&] { return cuda::driver().cuMemFreeHost(reinterpret_cast<void*>(memory)); },
  };
  for (const auto& free : wrong) {
    CHECK_EQUAL(free(), CUDA_ERROR_INVALID_VALUE);
    takeOnlyFinding(SIMULATOR_INVALID_FREE);
  }
  cuda::driver().cuMemFree(memory);
}

TEST(dead_streams_and_events_are_found) {
  Bench bench;
  CUevent event = nullptr;
  cuda::check(cuda::driver().cuEventCreate(&event, 0), "cuEventCreate");
  cuda::driver().cuEventDestroy(event);
  CUstream stream = nullptr;
  cuda::check(cuda::driver().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  cuda::driver().cuStreamDestroy(stream);
  const std::vector<std::function<CUresult()>> wrong{
      [&] { return cuda::driver().cuEventDestroy(event); },
      [&] { return cuda::driver().cuEventQuery(event); },
      [&] { return cuda::driver().cuEventRecord(event, bench.stream.handle()); },
      [&] { return cuda::driver().cuStreamWaitEvent(bench.stream.handle(), event, 0); },
      [&] { return cuda::driver().cuStreamDestroy(stream); },
      [&] { return cuda::driver().cuStreamQuery(stream); },
      [&] { return cuda::driver().cuStreamSynchronize(stream); },
  };
  for (const auto& use : wrong) {
    CHECK_EQUAL(use(), CUDA_ERROR_INVALID_HANDLE);
    takeOnlyFinding(SIMULATOR_DEAD_HANDLE);
  }
}

TEST(planted_device_wide_synchronises_are_found) {
  Bench bench;
  const CUdeviceptr memory = bench.device(100);
  void* const host = bench.pinned(100);
  CUstream blocking = nullptr;
  const std::vector<std::function<CUresult()>> stalls{
      [&] { return cuCtxSynchronize(); },
      [&] { return cuMemcpyHtoD(memory, host, 100); },
      [&] { return cuMemcpyDtoH(host, memory, 100); },
      [&] { return cuda::driver().cuMemcpyHtoDAsync(memory, host, 100, nullptr); },
      [&] { return cuda::driver().cuStreamCreate(&blocking, CU_STREAM_DEFAULT); },
  };
  for (const auto& stall : stalls) {
    CHECK_EQUAL(stall(), CUDA_SUCCESS);
    takeOnlyFinding(SIMULATOR_DEVICE_WIDE_SYNC);
  }
  cuda::driver().cuStreamDestroy(blocking);
  cuda::driver().cuMemFree(memory);
  cuda::driver().cuMemFreeHost(host);
}

TEST(freeing_memory_that_work_still_uses_is_a_device_wide_synchronise) {
  Bench bench;
  test::slowDown(5'000'000);
  const CUdeviceptr memory = bench.device(100);
  void* const host = bench.pinned(100);
  cuda::check(cuda::driver().cuMemcpyHtoDAsync(memory, host, 100, bench.stream.handle()), "cuMemcpyHtoDAsync");
  CHECK_EQUAL(cuda::driver().cuMemFree(memory), CUDA_SUCCESS);
  CHECK_CONTAINS(takeOnlyFinding(SIMULATOR_DEVICE_WIDE_SYNC), "cuMemFree_v2 of device memory 1");
  // The call waited, so this is known to be done as well.
  CHECK_EQUAL(cuda::driver().cuMemFreeHost(host), CUDA_SUCCESS);
}

TEST(copies_from_ordinary_memory_work_and_are_found) {
  Bench bench;
  const CUdeviceptr memory = bench.device(100);
  std::vector<char> from(100, 'a');
  std::vector<char> to(100);
  cuda::check(cuda::driver().cuMemcpyHtoDAsync(memory, from.data(), 100, bench.stream.handle()), "cuMemcpyHtoDAsync");
  takeOnlyFinding(SIMULATOR_PAGEABLE_COPY);
  cuda::check(cuda::driver().cuMemcpyDtoHAsync(to.data(), memory, 100, bench.stream.handle()), "cuMemcpyDtoHAsync");
  takeOnlyFinding(SIMULATOR_PAGEABLE_COPY);
  CHECK(to == from);
  cuda::driver().cuMemFree(memory);
}

TEST(memory_has_the_limits_it_was_given) {
  SimulatorConfig config = simulatorDefaults();
  config.deviceBytes = 1000;
  config.pinnedBytes = 500;
  simulatorConfigure(&config);
  Bench bench;
  const CUdeviceptr memory = bench.device(600);
  CUdeviceptr more = 0;
  CHECK_EQUAL(cuda::driver().cuMemAlloc(&more, 401), CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_EQUAL(cuda::driver().cuMemAlloc(&more, 400), CUDA_SUCCESS);
  void* host = nullptr;
  CHECK_EQUAL(cuda::driver().cuMemHostAlloc(&host, 501, 0), CUDA_ERROR_OUT_OF_MEMORY);
  cuda::driver().cuMemFree(memory);
  cuda::driver().cuMemFree(more);
}

TEST(calls_fail_as_planned) {
  Bench bench;
  simulatorFail("cuMemAlloc_v2", 2, 2, CUDA_ERROR_LAUNCH_FAILED);
  const std::uint64_t before = simulatorCalls("cuMemAlloc_v2");
  std::vector<CUresult> results;
  for (int i = 0; i < 4; ++i) {
    CUdeviceptr memory = 0;
    results.push_back(cuda::driver().cuMemAlloc(&memory, 8));
    if (memory != 0) cuda::driver().cuMemFree(memory);
  }
  CHECK(results == (std::vector{CUDA_SUCCESS, CUDA_ERROR_LAUNCH_FAILED, CUDA_ERROR_LAUNCH_FAILED, CUDA_SUCCESS}));
  CHECK_EQUAL(simulatorCalls("cuMemAlloc_v2") - before, 4U);
}

TEST(a_cuda_call_in_a_host_function_is_refused_and_found) {
  Bench bench;
  CUresult result = CUDA_SUCCESS;
  bench.stream.callOnHost([&] {
    int count = 0;
    result = cuda::driver().cuDeviceGetCount(&count);
  });
  bench.stream.synchronize();
  CHECK_EQUAL(result, CUDA_ERROR_NOT_PERMITTED);
  takeOnlyFinding(SIMULATOR_CALL_IN_HOST_FUNCTION);
}

TEST(calls_need_a_context) {
  CUdeviceptr memory = 0;
  CHECK_EQUAL(cuda::driver().cuMemAlloc(&memory, 8), CUDA_ERROR_INVALID_CONTEXT);
}
