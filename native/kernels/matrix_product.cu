// Products of float32 matrices, in float32: of calibration, where digits count and tensor cores would round. A block
// makes a square of the result, a thread 8 x 8 of it; what it multiplies next is on its way meanwhile.
#include "device/intrinsics.cuh"
#include "geometry.h"
#include "gptq_geometry.h"
#include "gptq_parameters.h"

namespace tensorrt_node::kernels {

namespace {

constexpr int tile = productTile;
constexpr int depth = productDepth;
constexpr int loads = tile * depth / productThreads;
// Rows of the next depth begin in other banks.
constexpr int stride = tile + 4;

// Of a factor, as [depth, tile]: `loads` elements a thread.
class Side {
 public:
  __device__ Side(const float* from, std::int64_t rowStride, bool alongTile, int first, int size, int inner)
      : from_(from), stride_(rowStride), alongTile_(alongTile), first_(first), size_(size), inner_(inner) {}

  __device__ void load(int k) {
#pragma unroll
    for (int i = 0; i < loads; ++i) {
      const int at = first_ + across(i);
      const int deep = k + down(i);
      const bool exists = at < size_ && deep < inner_;
      const std::int64_t place = alongTile_ ? deep * stride_ + at : at * stride_ + deep;
      values_[i] = exists ? from_[place] : 0;
    }
  }
  __device__ void store(float (*to)[stride]) const {
#pragma unroll
    for (int i = 0; i < loads; ++i) to[down(i)][across(i)] = values_[i];
  }

 private:
  // Neighbouring threads read neighbours, whichever way the factor lies.
  __device__ int element(int i) const {
    return i * productThreads + static_cast<int>(threadIdx.x);
  }
  __device__ int across(int i) const {
    return alongTile_ ? element(i) % tile : element(i) / depth;
  }
  __device__ int down(int i) const {
    return alongTile_ ? element(i) / tile : element(i) % depth;
  }

  const float* from_;
  std::int64_t stride_;
  bool alongTile_;
  int first_;
  int size_;
  int inner_;
  float values_[loads];
};

}  // namespace

}  // namespace tensorrt_node::kernels

using namespace tensorrt_node::kernels;

extern "C" __global__ void __launch_bounds__(productThreads, 2)
    matrix_product(const __grid_constant__ MatrixProductParameters p) {
  __shared__ float a[2][depth][stride];
  __shared__ float b[2][depth][stride];
  letSuccessorBegin();
  waitForPredecessor();
  const int firstRow = static_cast<int>(blockIdx.y) * tile;
  const int firstColumn = static_cast<int>(blockIdx.x) * tile;
  if (p.lower != 0 && firstColumn > firstRow) return;
  Side left(p.a, p.aStride, p.aTransposed != 0, firstRow, p.m, p.k);
  Side right(p.b, p.bStride, p.bTransposed == 0, firstColumn, p.n, p.k);
  // A thread's rows and columns are four neighbours and four half a tile further on.
  const int row = static_cast<int>(threadIdx.x) / 16 * 4;
  const int column = static_cast<int>(threadIdx.x) % 16 * 4;
  float sums[8][8] = {};
  left.load(0);
  right.load(0);
  int turn = 0;
  for (int k = 0; k < p.k; k += depth) {
    left.store(a[turn]);
    right.store(b[turn]);
    __syncthreads();
    if (k + depth < p.k) {
      left.load(k + depth);
      right.load(k + depth);
    }
#pragma unroll
    for (int deep = 0; deep < depth; ++deep) {
      float rows[8];
      float columns[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        rows[i] = a[turn][deep][row + i % 4 + i / 4 * (tile / 2)];
        columns[i] = b[turn][deep][column + i % 4 + i / 4 * (tile / 2)];
      }
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j) sums[i][j] += rows[i] * columns[j];
    }
    // The other half is free: all are past the barrier above, and so past their last use of it.
    turn ^= 1;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int r = firstRow + row + i % 4 + i / 4 * (tile / 2);
    if (r >= p.m) continue;
    float* const to = p.c + r * p.cStride;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const int c = firstColumn + column + j % 4 + j / 4 * (tile / 2);
      if (c >= p.n) continue;
      to[c] = p.keep == 0 ? p.factor * sums[i][j] : p.keep * to[c] + p.factor * sums[i][j];
    }
  }
}
