// What the rows of a decode step are.
//
// The kernels after it may begin only when its results are there and all before it has ended: what it writes, and what
// was written before it, they may read before waitForPredecessor(), past the multiprocessor's cache.
#include "device/intrinsics.cuh"
#include "geometry.h"
#include "parameters.h"

using namespace tensorrt_node::kernels;

extern "C" __global__ void __launch_bounds__(beginStepThreads)
    begin_step(const __grid_constant__ BeginStepParameters p) {
  waitForPredecessor();
  const int row = static_cast<int>(blockIdx.x * beginStepThreads + threadIdx.x);
  if (row < p.rows) {
    const int slot = p.slots[row];
    const bool runs = slot >= 0 && p.states[slot].running != 0;
    p.tokens[row] = runs ? p.states[slot].token : 0;
    p.positions[row] = runs ? p.states[slot].position : 0;
    p.runSlots[row] = runs ? slot : -1;
    p.runStarts[row] = row;
    if (row == p.rows - 1) p.runStarts[p.rows] = p.rows;
  }
  __threadfence();
  __syncthreads();
  letSuccessorBegin();
}
