// That the measurement reads what it says it does, and gives its memory back.
#include "kernels/read_speed.h"

#include "kernel_gpu.h"

namespace cuda = tensorrt_node::cuda;
using namespace tensorrt_node::kernels;
using test::Gpu;

TEST(read_speed_multiplies_all_matrices_in_each_round) {
  Gpu gpu;
  const std::uint64_t before = simulatorCalls("cuLaunchKernelEx");
  const double speed = weightReadsPerSecond(gpu.context, gpu.pool, *gpu.kernels, 64 * 8192);
  CHECK(speed > 0);
  CHECK_EQUAL(simulatorCalls("cuLaunchKernelEx") - before, 4U);
  CHECK_EQUAL(gpu.pool.stats().usedBytes, 0U);
}

TEST(read_speed_without_memory_is_an_error) {
  Gpu gpu;
  simulatorFail("cuMemAlloc_v2", 1, 2, CUDA_ERROR_OUT_OF_MEMORY);
  const auto error =
      CHECK_THROWS(weightReadsPerSecond(gpu.context, gpu.pool, *gpu.kernels, 64 * 8192), cuda::CudaError);
  CHECK_EQUAL(error.result(), CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_EQUAL(gpu.pool.stats().usedBytes, 0U);
}
