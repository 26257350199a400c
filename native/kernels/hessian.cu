// What GPTQ needs of a Hessian: U of U * D * transpose(U), unit upper triangular. It is the Cholesky factor of the
// matrix with its rows and columns in reversed order, reversed again and scaled (Chee et al. 2023, QuIP, show that the
// feedback of GPTQ is that of U, which spares the inverse).
#include "device/intrinsics.cuh"
#include "geometry.h"
#include "gptq_geometry.h"
#include "gptq_parameters.h"

using namespace tensorrt_node::kernels;

namespace {

constexpr int width = choleskyColumns;

// Of threads that each make elements of one row: the row, and the element at which this thread begins.
__device__ long long rowOfBlock() {
  return blockIdx.y;
}
__device__ long long columnOfThread() {
  return static_cast<long long>(blockIdx.x) * hessianThreads + threadIdx.x;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(hessianThreads)
    reverse_hessian(const __grid_constant__ ReverseHessianParameters p) {
  letSuccessorBegin();
  waitForPredecessor();
  const long long row = rowOfBlock();
  const long long column = columnOfThread();
  if (column > row) return;
  const int last = p.size - 1;
  const int mine = static_cast<int>(last - row);
  const int other = static_cast<int>(last - column);
  const int a = p.order == nullptr ? mine : p.order[mine];
  const int b = p.order == nullptr ? other : p.order[other];
  const float value = p.hessian[static_cast<long long>(max(a, b)) * p.size + min(a, b)];
  p.reversed[row * p.size + column] = column == row ? value + p.damping : value;
}

// One block: the square on the diagonal.
extern "C" __global__ void __launch_bounds__(choleskyThreads)
    cholesky_diagonal(const __grid_constant__ CholeskyParameters p) {
  __shared__ float square[width][width + 1];
  letSuccessorBegin();
  waitForPredecessor();
  float* const begin = p.matrix + static_cast<long long>(p.first) * (p.size + 1LL);
  const int wide = p.width;
  for (int at = threadIdx.x; at < wide * wide; at += choleskyThreads)
    square[at / wide][at % wide] = begin[static_cast<long long>(at / wide) * p.size + at % wide];
  __syncthreads();
  for (int column = 0; column < wide; ++column) {
    const float value = square[column][column];
    const bool positive = value > 0;
    const float root = positive ? sqrtf(value) : 1;
    // All have read it.
    __syncthreads();
    if (threadIdx.x == 0) {
      square[column][column] = root;
      if (!positive) atomicAdd(p.failures, 1);
    }
    for (int row = column + 1 + threadIdx.x; row < wide; row += choleskyThreads) square[row][column] /= root;
    __syncthreads();
    const int left = wide - column - 1;
    for (int at = threadIdx.x; at < left * left; at += choleskyThreads) {
      const int row = column + 1 + at / left;
      const int other = column + 1 + at % left;
      if (other <= row) square[row][other] -= square[row][column] * square[other][column];
    }
    __syncthreads();
  }
  for (int at = threadIdx.x; at < wide * wide; at += choleskyThreads)
    if (at % wide <= at / wide)
      begin[static_cast<long long>(at / wide) * p.size + at % wide] = square[at / wide][at % wide];
}

// The rows below it, of whole panels: x * transpose(square) = what is there.
extern "C" __global__ void __launch_bounds__(choleskyRows)
    cholesky_below(const __grid_constant__ CholeskyParameters p) {
  __shared__ float square[width][width + 1];
  __shared__ float rows[choleskyRows][width + 1];
  letSuccessorBegin();
  waitForPredecessor();
  const long long size = p.size;
  const int firstRow = p.first + width + static_cast<int>(blockIdx.x) * choleskyRows;
  const int count = min(choleskyRows, p.size - firstRow);
  for (int at = threadIdx.x; at < width * width; at += choleskyRows)
    square[at / width][at % width] = p.matrix[(p.first + at / width) * size + p.first + at % width];
  for (int at = threadIdx.x; at < count * width; at += choleskyRows)
    rows[at / width][at % width] = p.matrix[(firstRow + at / width) * size + p.first + at % width];
  __syncthreads();
  const int mine = threadIdx.x;
  if (mine < count) {
    for (int column = 0; column < width; ++column) {
      float sum = rows[mine][column];
      for (int before = 0; before < column; ++before) sum -= rows[mine][before] * square[column][before];
      rows[mine][column] = sum / square[column][column];
    }
  }
  __syncthreads();
  for (int at = threadIdx.x; at < count * width; at += choleskyRows)
    p.matrix[(firstRow + at / width) * size + p.first + at % width] = rows[at / width][at % width];
}

extern "C" __global__ void __launch_bounds__(hessianThreads) unit_upper(const __grid_constant__ UnitUpperParameters p) {
  letSuccessorBegin();
  waitForPredecessor();
  const long long row = rowOfBlock();
  const long long column = columnOfThread();
  if (column < row || column >= p.size) return;
  const long long last = p.size - 1;
  const float* const from = p.factor + (last - column);
  const float root = from[(last - column) * p.size];
  if (column == row)
    p.diagonal[row] = root * root;
  else
    p.upper[row * p.size + column] = from[(last - row) * p.size] / root;
}
