// Allocates device memory and forgets it, as a user's program might. What the simulated driver makes of that is up to
// its settings in the environment.
#include "cuda/driver.h"

int main() {
  if (!tensorrt_node::cuda::load().ready()) return 3;
  const auto& driver = tensorrt_node::cuda::driver();
  CUcontext context = nullptr;
  CUdeviceptr forgotten = 0;
  if (driver.cuDevicePrimaryCtxRetain(&context, 0) != CUDA_SUCCESS) return 4;
  if (driver.cuCtxPushCurrent(context) != CUDA_SUCCESS) return 4;
  return driver.cuMemAlloc(&forgotten, 4096) == CUDA_SUCCESS ? 0 : 4;
}
