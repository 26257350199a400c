// Transposes tiles of a matrix through shared memory, so that both sides are read and written in whole lines.
#include <cstdint>

#include "device/intrinsics.cuh"
#include "geometry.h"
#include "parameters.h"

using namespace tensorrt_node::kernels;

extern "C" __global__ void __launch_bounds__(transposeThreads)
    transpose(const __grid_constant__ TransposeParameters p) {
  // A column more than the tile has: no two rows of a column in one bank.
  __shared__ std::uint16_t tile[transposeTile][transposeTile + 2];
  waitForPredecessor();
  const auto* in = static_cast<const std::uint16_t*>(p.in);
  auto* out = static_cast<std::uint16_t*>(p.out);
  const int x = threadIdx.x % transposeTile;
  const int column = blockIdx.x * transposeTile;
  const int row = blockIdx.y * transposeTile;
  for (int y = threadIdx.x / transposeTile; y < transposeTile; y += transposeThreads / transposeTile)
    if (row + y < p.rows && column + x < p.columns)
      tile[y][x] = in[static_cast<std::size_t>(row + y) * p.columns + column + x];
  __syncthreads();
  for (int y = threadIdx.x / transposeTile; y < transposeTile; y += transposeThreads / transposeTile)
    if (column + y < p.columns && row + x < p.rows)
      out[static_cast<std::size_t>(column + y) * p.rows + row + x] = tile[x][y];
}
