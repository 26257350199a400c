// Addresses whose memory comes and goes, and the simulated driver as their judge.
#include "cuda/virtual_memory.h"

#include <cstring>
#include <utility>

#include "cuda/device.h"
#include "cuda/stream.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

namespace {

constexpr std::size_t unit = 64 << 10;

void set(const cuda::Stream& stream, CUdeviceptr at, std::size_t bytes, unsigned char value) {
  const cuda::Current current(*stream.context());
  cuda::check(cuda::driver().cuMemsetD8Async(at, value, bytes, stream.handle()), "cuMemsetD8Async");
}

std::size_t used(const cuda::Context& context) {
  const cuda::MemoryInfo info = cuda::memory(context);
  return info.totalBytes - info.freeBytes;
}

}  // namespace

TEST(virtual_memory_comes_back_at_the_same_addresses) {
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  cuda::VirtualMemory memory(context, 5 * unit - 1, 2 * unit);
  CHECK_EQUAL(memory.size(), 5 * unit);
  CHECK_EQUAL(memory.pieces(), 3U);
  CHECK_EQUAL(memory.pieceSize(2), unit);
  CHECK_EQUAL(used(*context), 0U);
  for (int i = 0; i < 3; ++i) {
    memory.map();
    CHECK_EQUAL(memory.mappedBytes(), 5 * unit);
    CHECK_EQUAL(used(*context), 5 * unit);
    // Over the seams of pieces.
    set(stream, memory.address(), memory.size(), 7);
    stream.synchronize();
    CHECK_EQUAL(*reinterpret_cast<const unsigned char*>(memory.address() + 4 * unit), 7);
    memory.unmap();
    CHECK_EQUAL(memory.mappedBytes(), 0U);
    CHECK_EQUAL(used(*context), 0U);
  }
  memory.map(1);
  cuda::VirtualMemory moved = std::move(memory);
  set(stream, moved.address() + moved.pieceOffset(1), moved.pieceSize(1), 1);
  stream.synchronize();
}

TEST(virtual_memory_that_cannot_be_had_leaves_nothing) {
  SimulatorConfig config = simulatorDefaults();
  config.deviceBytes = 4 * unit;
  simulatorConfigure(&config);
  const auto context = test::context();
  cuda::VirtualMemory memory(context, 5 * unit, unit);
  CHECK_EQUAL(CHECK_THROWS(memory.map(), cuda::CudaError).result(), CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_EQUAL(used(*context), 0U);
  for (const char* symbol : {"cuMemCreate", "cuMemMap", "cuMemSetAccess"}) {
    simulatorFail(symbol, 2, 1, CUDA_ERROR_UNKNOWN);
    const cuda::CudaError error = CHECK_THROWS(memory.map(), cuda::CudaError);
    CHECK_EQUAL(error.call(), symbol);
    CHECK_EQUAL(used(*context), 0U);
    CHECK_EQUAL(memory.mappedBytes(), 0U);
  }
  config.virtualMemory = 0;
  simulatorConfigure(&config);
  CHECK(!cuda::VirtualMemory::supported(*context));
  config.virtualMemory = 1;
  simulatorConfigure(&config);
  CHECK(cuda::VirtualMemory::supported(*context));
  // As in some containers.
  simulatorFail("cuMemCreate", 1, 1, CUDA_ERROR_NOT_PERMITTED);
  CHECK(!cuda::VirtualMemory::supported(*context));
  config.virtualMemory = 0;
  simulatorConfigure(&config);
  CHECK_EQUAL(CHECK_THROWS(cuda::VirtualMemory(context, 1), cuda::CudaError).result(), CUDA_ERROR_NOT_SUPPORTED);
}

TEST(planted_misuse_of_virtual_memory_is_found) {
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  const cuda::Current current(*context);
  cuda::VirtualMemory memory(context, 2 * unit, unit);
  memory.map(0);
  CHECK_THROWS(set(stream, memory.address(), unit + 1, 1), cuda::CudaError);
  test::takeOnlyFinding(SIMULATOR_UNMAPPED);

  const auto& driver = cuda::driver();
  CUmemAllocationProp kind{};
  kind.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  kind.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  CUmemGenericAllocationHandle handle = 0;
  CHECK_EQUAL(driver.cuMemCreate(&handle, unit, &kind, 0), CUDA_SUCCESS);
  CHECK_EQUAL(driver.cuMemMap(memory.address(), unit, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
  test::takeOnlyFinding(SIMULATOR_INVALID_MAPPING);
  CHECK_EQUAL(driver.cuMemMap(memory.address() + unit, unit, 0, handle, 0), CUDA_SUCCESS);
  CHECK_THROWS(set(stream, memory.address() + unit, 1, 1), cuda::CudaError);
  test::takeOnlyFinding(SIMULATOR_UNMAPPED);
  CHECK_EQUAL(driver.cuMemAddressFree(memory.address(), memory.size()), CUDA_ERROR_INVALID_VALUE);
  test::takeOnlyFinding(SIMULATOR_INVALID_MAPPING);
  CHECK_EQUAL(driver.cuMemUnmap(memory.address() + unit, unit), CUDA_SUCCESS);
  CHECK_EQUAL(driver.cuMemUnmap(memory.address() + unit, unit), CUDA_ERROR_INVALID_VALUE);
  test::takeOnlyFinding(SIMULATOR_INVALID_MAPPING);
  simulatorFindLeaks();
  bool found = false;
  for (const auto& each : test::takeFindings())
    found = found || each.message.find("physical memory 2") != std::string::npos;
  CHECK(found);
  CHECK_EQUAL(driver.cuMemRelease(handle), CUDA_SUCCESS);
  CHECK_EQUAL(driver.cuMemRelease(handle), CUDA_ERROR_INVALID_VALUE);
  test::takeOnlyFinding(SIMULATOR_DOUBLE_FREE);
}

TEST(planted_unmapping_below_queued_work_is_found) {
  test::slowDown(200'000);
  const auto context = test::context();
  const cuda::Stream stream(context, "stream");
  cuda::VirtualMemory memory(context, unit);
  memory.map();
  set(stream, memory.address(), unit, 1);
  memory.unmap();
  CHECK_CONTAINS(test::takeOnlyFinding(SIMULATOR_RACE), "cuMemUnmap");
}
