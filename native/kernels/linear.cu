// Products of some rows with a weight, bound by reading it: a block takes tiles of the weight's rows from end to end,
// both factors on their way into shared memory some chunks ahead, and multiplies them on tensor cores. A tile's warps
// share its rows, and then the inner dimension, and are added up at its end: the order of the sums is the same however
// many rows x has.
//
// The instruction's inner index may be dealt out in any way that is the same for both sides: a lane's are the eight
// elements of one 16-byte read.
#include "device/activation.cuh"
#include "device/element.cuh"
#include "device/product.cuh"
#include "device/reduce.cuh"
#include "geometry.h"
#include "parameters.h"
#include "workspace.h"

namespace tensorrt_node::kernels {

// Of `outerRows` rows of the weight, and eight times `columns` rows of x.
template <typename T, int outerRows, int columns>
class LinearTiles {
 public:
  __device__ explicit LinearTiles(const LinearParameters& parameters)
      : p(parameters),
        ring_(static_cast<uint4*>(launchedShared())),
        sums_(reinterpret_cast<float*>(ring_ + stages * stageVectors)),
        firstRow_(blockIdx.y * xRows),
        chunks_(divideUp(p.inner, chunk)),
        tiles_(divideUp(p.outer, outerRows)) {}

  __device__ void run() {
    // The weight is nobody's output, so its first chunks are on their way before the predecessor is done.
    for (int stage = 0; stage < stages - 1; ++stage)
      loadWeight(stage, blockIdx.x + stage / chunks_ * gridDim.x, stage % chunks_);
    waitForPredecessor();
    for (int stage = 0; stage < stages - 1; ++stage) {
      loadX(stage, blockIdx.x + stage / chunks_ * gridDim.x, stage % chunks_);
      endCopies();
    }
    int loadTile = blockIdx.x + (stages - 1) / chunks_ * gridDim.x;
    int loadChunk = (stages - 1) % chunks_;
    int stage = 0;
    for (int tile = blockIdx.x; tile < tiles_; tile += gridDim.x) {
      float sum[columns][4] = {};
      for (int at = 0; at < chunks_; ++at) {
        waitForCopies<stages - 2>();
        // And the chunk before this one is everybody's no longer.
        __syncthreads();
        const int free = stage == 0 ? stages - 1 : stage - 1;
        loadWeight(free, loadTile, loadChunk);
        loadX(free, loadTile, loadChunk);
        endCopies();
        if (++loadChunk == chunks_) {
          loadChunk = 0;
          loadTile += gridDim.x;
        }
        add(sum, stage);
        if (++stage == stages) stage = 0;
      }
      finish(sum, tile);
    }
  }

 private:
  static constexpr int warpsAcross = outerRows / 16;
  static constexpr int slices = linearWarps / warpsAcross;
  static constexpr int chunk = linearChunk(outerRows);
  static constexpr int stages = linearStages(outerRows);
  static constexpr int rowVectors = chunk / elementsPerVector;
  static constexpr int xRows = columns * linearColumn;
  static constexpr int stageVectors = (outerRows + xRows) * rowVectors;
  static constexpr int threads = linearWarps * 32;
  static_assert(threads % rowVectors == 0 && chunk % (32 * slices) == 0);

  // The row of the weight that is row i of a tile; gated, a tile's second half are the ups of its first.
  __device__ int outerOf(int tile, int i) const {
    if (p.gated == 0) return tile * outerRows + i;
    const int half = outerRows / 2;
    return tile * half + i % half + (i < half ? 0 : p.outer / 2);
  }

  // Where a vector of a row is in a stage: eight lanes that read four vectors of each of two rows read all banks.
  __device__ static int placeOf(int row, int vector) { return row * rowVectors + (vector ^ ((row & 1) << 2)); }

  __device__ void loadWeight(int stage, int tile, int at) const {
    uint4* const to = ring_ + stage * stageVectors;
    const int vector = threadIdx.x % rowVectors;
    const int i = at * chunk + vector * elementsPerVector;
#pragma unroll
    for (int first = 0; first < outerRows; first += threads / rowVectors) {
      const int row = first + threadIdx.x / rowVectors;
      if (outerRows % (threads / rowVectors) != 0 && row >= outerRows) break;
      const int outer = outerOf(tile, row);
      const bool exists = tile < tiles_ && outer < p.outer && i < p.inner;
      const T* const from = static_cast<const T*>(p.weight) + static_cast<std::size_t>(exists ? outer : 0) * p.inner;
      copyToShared(to + placeOf(row, vector), exists ? from + i : from, exists);
    }
  }
  __device__ void loadX(int stage, int tile, int at) const {
    uint4* const to = ring_ + stage * stageVectors + outerRows * rowVectors;
    const int vector = threadIdx.x % rowVectors;
    const int i = at * chunk + vector * elementsPerVector;
#pragma unroll
    for (int first = 0; first < xRows; first += threads / rowVectors) {
      const int row = first + threadIdx.x / rowVectors;
      if (xRows % (threads / rowVectors) != 0 && row >= xRows) break;
      const bool exists = tile < tiles_ && firstRow_ + row < p.rows && i < p.inner;
      const T* const from =
          static_cast<const T*>(p.x) + static_cast<std::size_t>(exists ? firstRow_ + row : 0) * p.inner;
      copyToShared(to + placeOf(row, vector), exists ? from + i : from, exists);
    }
  }

  __device__ void add(float (&sum)[columns][4], int stage) const {
    const uint4* const weight = ring_ + stage * stageVectors;
    const uint4* const x = weight + outerRows * rowVectors;
#pragma unroll
    for (int part = slice_; part < chunk / 32; part += slices) {
      const int vector = 4 * part + inGroup_;
      const uint4 a = weight[placeOf(16 * across_ + group_, vector)];
      const uint4 b = weight[placeOf(16 * across_ + group_ + 8, vector)];
#pragma unroll
      for (int column = 0; column < columns; ++column) {
        const uint4 c = x[placeOf(linearColumn * column + group_, vector)];
        multiplyAdd(sum[column], a.x, b.x, a.y, b.y, c.x, c.y, T());
        multiplyAdd(sum[column], a.z, b.z, a.w, b.w, c.z, c.w, T());
      }
    }
  }

  __device__ float& sumAt(int slice, int row, int i) const {
    return sums_[(slice * xRows + row) * (outerRows + 1) + i];
  }

  __device__ void finish(const float (&sum)[columns][4], int tile) const {
#pragma unroll
    for (int column = 0; column < columns; ++column)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        sumAt(slice_, linearColumn * column + 2 * inGroup_ + i % 2, 16 * across_ + group_ + i / 2 * 8) = sum[column][i];
    __syncthreads();
    const auto total = [&](int row, int i) {
      float value = 0;
#pragma unroll
      for (int slice = 0; slice < slices; ++slice) value += sumAt(slice, row, i);
      return biased<T>(p, outerOf(tile, i), value);
    };
    const int width = p.gated == 0 ? outerRows : outerRows / 2;
    const int outputs = p.gated == 0 ? p.outer : p.outer / 2;
    const int rows = min(xRows, p.rows - firstRow_);
    for (int at = threadIdx.x; at < rows * width; at += threads) {
      const int row = at / width;
      const int i = at % width;
      const int column = tile * width + i;
      if (column >= outputs) continue;
      const float value = total(row, i);
      store<T>(p, firstRow_ + row, column,
               p.gated == 0 ? value : activate(p.activation, value) * total(row, i + width));
    }
  }

  const LinearParameters& p;
  uint4* const ring_;
  // [slices, xRows, outerRows + 1]
  float* const sums_;
  const int firstRow_;
  const int chunks_;
  const int tiles_;
  const int group_ = threadIdx.x % 32 / 4;
  const int inGroup_ = threadIdx.x % 4;
  const int across_ = threadIdx.x / 32 % warpsAcross;
  const int slice_ = threadIdx.x / 32 / warpsAcross;
};

template <typename T, int outerRows, int columns>
__device__ void linear(const LinearParameters& p) {
  letSuccessorBegin();
  LinearTiles<T, outerRows, columns>(p).run();
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

#define LINEAR(name, Type, outerRows, columns)                                     \
  extern "C" __global__ void __launch_bounds__(linearWarps * 32)                   \
      name##_##outerRows##_##columns(const __grid_constant__ LinearParameters p) { \
    linear<Type, outerRows, columns>(p);                                           \
  }
#define LINEAR_OF_TILE(name, Type, outerRows) \
  LINEAR(name, Type, outerRows, 1)            \
  LINEAR(name, Type, outerRows, 2) LINEAR(name, Type, outerRows, 4) LINEAR(name, Type, outerRows, 8)
#define LINEAR_OF_TYPE(name, Type) \
  LINEAR_OF_TILE(name, Type, 16) LINEAR_OF_TILE(name, Type, 32) LINEAR_OF_TILE(name, Type, 64)

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
