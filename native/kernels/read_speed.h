// How fast the products of a step read their weights on this GPU.
#pragma once

#include <cstddef>
#include <memory>

#include "../cuda/context.h"
#include "../cuda/device_pool.h"
#include "kernels.h"

namespace tensorrt_node::kernels {

// Bytes a second, of products of one row with matrices of `bytes` together, which should not fit the GPU's caches.
// Takes that memory from the pool, and blocks until it is done: some milliseconds. Throws CudaError.
double weightReadsPerSecond(const std::shared_ptr<const cuda::Context>& context, cuda::DevicePool& pool,
                            const Kernels& kernels, std::size_t bytes);

}  // namespace tensorrt_node::kernels
