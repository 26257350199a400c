// Products of few rows with a weight, bound by reading it: each warp of a block takes every eighth slice of the inner
// dimension of the same 16 rows of the weight, straight from memory into tensor cores, and the block adds up. The order
// of the sums is the same however many rows there are.
//
// The instruction's inner index may be dealt out in any way that is the same for both sides: a lane's are the eight
// elements of one 16-byte read.
#include "device/activation.cuh"
#include "device/element.cuh"
#include "device/reduce.cuh"
#include "geometry.h"
#include "parameters.h"

namespace tensorrt_node::kernels {

// Elements of the inner dimension that a warp takes at a time: 128 bytes of each row.
constexpr int slice = 64;
// Slices that a warp has on their way.
constexpr int slicesAhead = 2;

// A slice of 16 rows of the weight: of this lane, rows g and g + 8, and 32 elements apart.
struct WeightSlice {
  uint4 rows[2][2];
};

template <typename T>
struct LinearTile {
  const LinearParameters& p;
  const int row;
  const int lane = threadIdx.x % 32;
  const int group = lane / 4;
  const int inGroup = lane % 4;
  const int outer = blockIdx.x * linearOuter;

  // The row of the weight that is row i of the tile; gated, a tile's second half are the ups of its first.
  __device__ int outerOf(int i) const {
    const int half = linearOuter / 2;
    return p.gated == 0 ? outer + i : i % half + outer / 2 + (i < half ? 0 : p.outer / 2);
  }

  __device__ WeightSlice loadWeight(int begin) const {
    WeightSlice w;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int from = min(outerOf(group + 8 * half), p.outer - 1);
      const T* weight = static_cast<const T*>(p.weight) + static_cast<std::size_t>(from) * p.inner;
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        const int i = begin + 32 * part + 8 * inGroup;
        w.rows[half][part] = i < p.inner ? loadOnce(weight + i) : make_uint4(0, 0, 0, 0);
      }
    }
    return w;
  }

  __device__ uint4 loadX(int at, int i) const {
    if (at >= p.rows || i >= p.inner) return make_uint4(0, 0, 0, 0);
    return *reinterpret_cast<const uint4*>(static_cast<const T*>(p.x) + static_cast<std::size_t>(at) * p.inner + i);
  }

  template <int Columns>
  __device__ void add(float (&sum)[Columns][4], const WeightSlice& w, int begin) const {
#pragma unroll
    for (int part = 0; part < 2; ++part)
#pragma unroll
      for (int column = 0; column < Columns; ++column) {
        const uint4 x = loadX(row + linearColumn * column + group, begin + 32 * part + 8 * inGroup);
        const uint4& a = w.rows[0][part];
        const uint4& b = w.rows[1][part];
        multiplyAdd(sum[column], a.x, b.x, a.y, b.y, x.x, x.y, T());
        multiplyAdd(sum[column], a.z, b.z, a.w, b.w, x.z, x.w, T());
      }
  }
};

template <typename T>
__device__ float biased(const LinearParameters& p, int outer, float value) {
  return p.bias == nullptr ? value : value + toFloat(static_cast<const T*>(p.bias)[outer]);
}

template <typename T>
__device__ void store(const LinearParameters& p, int row, int column, float value) {
  const std::size_t to = static_cast<std::size_t>(row) * (p.gated == 0 ? p.outer : p.outer / 2) + column;
  if (p.residual != nullptr) value += toFloat(static_cast<const T*>(p.residual)[to]);
  if (p.outputType == ElementType::float32)
    static_cast<float*>(p.y)[to] = value;
  else
    static_cast<T*>(p.y)[to] = fromFloat<T>(value);
}

// Eight rows of x a column of tiles.
template <typename T, int columns>
__device__ void linear(const LinearParameters& p) {
  __shared__ float sums[linearWarps][linearColumn * columns][linearOuter + 1];
  letSuccessorBegin();
  const LinearTile<T> tile{p, static_cast<int>(blockIdx.y) * columns * linearColumn};
  const int warp = threadIdx.x / 32;

  // The weight is nobody's output, so its first slices are on their way before the predecessor is done.
  constexpr int stride = linearWarps * slice;
  int begin = warp * slice;
  WeightSlice ahead[slicesAhead];
#pragma unroll
  for (int s = 0; s < slicesAhead; ++s) ahead[s] = tile.loadWeight(begin + s * stride);
  waitForPredecessor();

  float sum[columns][4] = {};
  while (begin < p.inner) {
#pragma unroll
    for (int s = 0; s < slicesAhead; ++s) {
      const WeightSlice now = ahead[s];
      ahead[s] = tile.loadWeight(begin + slicesAhead * stride);
      tile.template add<columns>(sum, now, begin);
      begin += stride;
    }
  }

#pragma unroll
  for (int column = 0; column < columns; ++column)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      sums[warp][linearColumn * column + 2 * tile.inGroup + i % 2][tile.group + i / 2 * 8] = sum[column][i];
  __syncthreads();
  const auto total = [&](int row, int i) {
    float value = 0;
#pragma unroll
    for (int w = 0; w < linearWarps; ++w) value += sums[w][row][i];
    return biased<T>(p, tile.outerOf(i), value);
  };
  const int width = p.gated == 0 ? linearOuter : linearOuter / 2;
  const int outputs = p.gated == 0 ? p.outer : p.outer / 2;
  for (int at = threadIdx.x; at < linearColumn * columns * width; at += linearWarps * 32) {
    const int row = at / width;
    const int i = at % width;
    const int column = blockIdx.x * width + i;
    if (tile.row + row >= p.rows || column >= outputs) continue;
    const float value = total(row, i);
    store<T>(p, tile.row + row, column,
             p.gated == 0 ? value : activate(p.activation, value) * total(row, i + linearOuter / 2));
  }
}

// Any inner size: a block an element.
template <typename T>
__device__ void linearPlain(const LinearParameters& p) {
  __shared__ float scratch[32];
  letSuccessorBegin();
  waitForPredecessor();
  const int row = blockIdx.y;
  const T* x = static_cast<const T*>(p.x) + static_cast<std::size_t>(row) * p.inner;
  const auto product = [&](int outer) {
    const T* weight = static_cast<const T*>(p.weight) + static_cast<std::size_t>(outer) * p.inner;
    float sum = 0;
    for (int i = threadIdx.x; i < p.inner; i += linearPlainThreads) sum += toFloat(x[i]) * toFloat(weight[i]);
    return biased<T>(p, outer, reduceBlock(sum, scratch, Add{}));
  };
  const int column = blockIdx.x;
  float value = product(column);
  if (p.gated != 0) value = activate(p.activation, value) * product(column + p.outer / 2);
  if (threadIdx.x == 0) store<T>(p, row, column, value);
}

}  // namespace tensorrt_node::kernels

using namespace tensorrt_node::kernels;

#define LINEAR(name, Type, columns)                                  \
  extern "C" __global__ void __launch_bounds__(linearWarps * 32)     \
      name##_##columns(const __grid_constant__ LinearParameters p) { \
    linear<Type, columns>(p);                                        \
  }
#define LINEAR_OF_TYPE(name, Type) \
  LINEAR(name, Type, 1) LINEAR(name, Type, 2) LINEAR(name, Type, 3) LINEAR(name, Type, 4)

LINEAR_OF_TYPE(linear_float16, __half)
LINEAR_OF_TYPE(linear_bfloat16, __nv_bfloat16)

extern "C" __global__ void __launch_bounds__(linearPlainThreads)
    linear_plain_float16(const __grid_constant__ LinearParameters p) {
  linearPlain<__half>(p);
}
extern "C" __global__ void __launch_bounds__(linearPlainThreads)
    linear_plain_bfloat16(const __grid_constant__ LinearParameters p) {
  linearPlain<__nv_bfloat16>(p);
}
