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
  const auto highest = static_cast<unsigned>(blocks) - 1;
  // From the highest on to zero, for the next launch.
  return countInOrder(&arrivals[counter], highest) == highest;
}

// How many of them have come: to be asked early, as the answer takes its time.
__device__ inline std::uint32_t arrivedBefore(int counter) {
  return loadCounter(&arrivals[counter]);
}
// Whether they are all others, `arrived` being that answer: then this block need not arrive, nor leave what it has.
__device__ inline bool allArrived(int counter, int blocks, std::uint32_t arrived) {
  if (arrived + 1 != static_cast<unsigned>(blocks)) return false;
  orderMemory();
  arrivals[counter] = 0;
  return true;
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
