// Devices, contexts and errors.
#include "cuda/device.h"

#include <thread>

#include "cuda/stream.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

TEST(devices_are_described) {
  SimulatorConfig config = simulatorDefaults();
  config.devices = 2;
  simulatorConfigure(&config);
  const auto devices = cuda::devices();
  CHECK_EQUAL(devices.size(), 2U);
  const auto& second = devices[1];
  CHECK_EQUAL(second.ordinal, 1);
  CHECK_EQUAL(second.name, "Simulated GPU 1");
  CHECK_EQUAL(second.computeMajor, 9);
  CHECK_EQUAL(second.computeMinor, 0);
  CHECK_EQUAL(second.multiprocessors, 132);
  CHECK_EQUAL(second.totalBytes, std::size_t{1} << 30);
  CHECK_EQUAL(second.pciBusId, "0000:02:00.0");
  CHECK_EQUAL(cuda::driverVersion().api, CUDA_VERSION);
}

TEST(free_memory_shrinks_with_allocations) {
  const auto context = test::context();
  const auto before = cuda::memory(*context);
  const cuda::Current current(*context);
  CUdeviceptr memory = 0;
  cuda::check(cuda::driver().cuMemAlloc(&memory, 5000), "cuMemAlloc");
  const auto after = cuda::memory(*context);
  cuda::driver().cuMemFree(memory);
  CHECK_EQUAL(before.freeBytes - after.freeBytes, 5000U);
  CHECK_EQUAL(after.totalBytes, before.totalBytes);
}

TEST(a_device_that_is_not_there_is_named) {
  const auto error = CHECK_THROWS(cuda::Context::retain(7), cuda::CudaError);
  CHECK_EQUAL(error.call(), "cuDeviceGet");
  CHECK_EQUAL(error.codeName(), "CUDA_ERROR_INVALID_DEVICE");
  CHECK_CONTAINS(error.description(), "device 7");
  CHECK_CONTAINS(error.hint(), "CUDA_VISIBLE_DEVICES");
  CHECK_EQUAL(std::string(error.what()),
              "cuDeviceGet failed with CUDA_ERROR_INVALID_DEVICE: invalid device ordinal: device 7 (devices count from "
              "0, and CUDA_VISIBLE_DEVICES hides some)");
}

TEST(codes_unknown_to_driver_and_library_are_numbers) {
  CHECK_EQUAL(cuda::codeName(static_cast<CUresult>(777)), "CUDA error 777");
  CHECK(cuda::hintFor(static_cast<CUresult>(777)).empty());
}

TEST(a_context_is_current_within_its_scope_and_on_its_thread) {
  const auto context = test::context();
  const auto now = [] {
    CUcontext current = nullptr;
    cuda::driver().cuCtxGetCurrent(&current);
    return current;
  };
  CHECK(now() == nullptr);
  {
    const cuda::Current outer(*context);
    const cuda::Current inner(*context);
    CHECK(now() == context->handle());
    CUcontext elsewhere = context->handle();
    std::thread([&] { elsewhere = now(); }).join();
    CHECK(elsewhere == nullptr);
  }
  CHECK(now() == nullptr);
}

TEST(streams_keep_their_context) {
  auto context = test::context();
  cuda::Stream stream(context, "kept");
  context.reset();
  stream.synchronize();
}
