// The last of several blocks goes on with what all of them have made.
#pragma once

#include <cstdint>

#include "../geometry.h"
#include "intrinsics.cuh"

namespace tensorrt_node::kernels {

// Zero when the module is loaded, and whenever no launch that counts with them is under way. Arrivals says whose they
// are.
static __device__ std::uint32_t arrivals[arrivalLeases * arrivalsOfLease];

// Whether this block is the last of `blocks` that come here with a counter; what the others wrote before is then to be
// seen past the multiprocessor's cache. By one thread, between barriers of the block.
__device__ inline bool arrives(int counter, int blocks) {
  orderMemory();
  const auto highest = static_cast<unsigned>(blocks) - 1;
  // From the highest on to zero, for the next launch.
  const bool last = atomicInc(&arrivals[counter], highest) == highest;
  orderMemory();
  return last;
}

// Likewise by all threads.
__device__ inline bool arrivesLast(int counter, int blocks) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) last = arrives(counter, blocks);
  __syncthreads();
  return last;
}

}  // namespace tensorrt_node::kernels
