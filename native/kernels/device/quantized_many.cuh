// Products of many rows with a packed weight: a block takes some tiles of the weight from end to end, chunks of them
// and of x on their way into shared memory together. Codes are decoded once for all its rows of x.
#pragma once

#include "activation.cuh"
#include "product.cuh"
#include "quantized_chunk.cuh"

namespace tensorrt_node::kernels {

// `across` tiles of the weight at once, and eight times `columns` rows of x.
template <typename T, CodeType codes, Offsets offsets, int across, int columns>
class QuantizedMany {
 public:
  __device__ explicit QuantizedMany(const QuantizedLinearParameters& parameters)
      : p(parameters.linear),
        weight_(parameters),
        tiles_(static_cast<int>(parameters.layout.tiles)),
        chunks_(divideUp(p.inner, quantizedChunk)),
        steps_(divideUp(chunks_, slices)),
        firstRow_(blockIdx.y * rows) {}

  __device__ void run() {
    // The weight is nobody's output, so its first chunks are on their way before the predecessor is done.
    for (int stage = 0; stage < stages - 1; ++stage) loadWeight(stage, stage / steps_, stage % steps_);
    waitForPredecessor();
    for (int stage = 0; stage < stages - 1; ++stage) {
      loadX(stage, stage / steps_, stage % steps_);
      endCopies();
    }
    int loadTurn = (stages - 1) / steps_;
    int loadStep = (stages - 1) % steps_;
    int stage = 0;
    for (int turn = 0; tileOf(turn, 0) < tiles_; ++turn) {
      float sum[columns][4] = {};
      for (int step = 0; step < steps_; ++step) {
        waitForCopies<stages - 2>();
        // And what came before is everybody's no longer.
        __syncthreads();
        const int free = stage == 0 ? stages - 1 : stage - 1;
        loadWeight(free, loadTurn, loadStep);
        loadX(free, loadTurn, loadStep);
        endCopies();
        if (++loadStep == steps_) {
          loadStep = 0;
          ++loadTurn;
        }
        if (tileOf(turn, across_) < tiles_ && step * slices + slice_ < chunks_) {
          const uint4* const x = xOf(stage) + slice_ * rows * rowVectors;
          weight_.add(sum, slotOf(stage), [&](int column, int block) {
            return x[placeOf(column * linearColumn + group_, block * 4 + inGroup_)];
          });
        }
        if (++stage == stages) stage = 0;
      }
      finish(sum, turn);
    }
  }

 private:
  using Chunks = QuantizedChunks<T, codes, offsets, offsets == Offsets::codes>;
  static constexpr int stages = quantizedManyStages(quantizedBits(codes));
  static constexpr int slices = quantizedWarps / across;
  static constexpr int rows = columns * linearColumn;
  static constexpr int threads = quantizedWarps * 32;
  static constexpr int rowVectors = quantizedChunk / elementsPerVector;
  static constexpr int xVectors = slices * rows * rowVectors;
  static constexpr int stageVectors = quantizedWarps * Chunks::slotVectors + xVectors;
  static_assert(xVectors % threads == 0 && threads % rowVectors == 0);

  __device__ int tileOf(int turn, int i) const { return (turn * gridDim.x + blockIdx.x) * across + i; }
  __device__ static uint4* stageOf(int stage) { return static_cast<uint4*>(launchedShared()) + stage * stageVectors; }
  __device__ uint4* slotOf(int stage) const { return stageOf(stage) + warp_ * Chunks::slotVectors; }
  __device__ static uint4* xOf(int stage) { return stageOf(stage) + quantizedWarps * Chunks::slotVectors; }
  // [quantizedWarps, rows, quantizedSumStride]
  __device__ static float* sums() { return reinterpret_cast<float*>(stageOf(stages)); }

  // Where a vector of a row is: eight lanes that read four vectors of each of two rows read all banks.
  __device__ static int placeOf(int row, int vector) { return row * rowVectors + (vector ^ ((row & 1) << 2)); }

  __device__ void loadWeight(int stage, int turn, int step) const {
    const int tile = tileOf(turn, across_);
    const int chunk = step * slices + slice_;
    if (tile < tiles_ && chunk < chunks_) weight_.copy(slotOf(stage), weight_.cursorAt(tile, chunk));
  }
  __device__ void loadX(int stage, int turn, int step) const {
    if (tileOf(turn, 0) >= tiles_) return;
    uint4* const to = xOf(stage);
    const int vector = threadIdx.x % rowVectors;
#pragma unroll
    for (int first = 0; first < xVectors; first += threads) {
      const int at = (first + threadIdx.x) / rowVectors;
      const int row = firstRow_ + at % rows;
      const int i = (step * slices + at / rows) * quantizedChunk + vector * elementsPerVector;
      const bool exists = row < p.rows && i < p.inner;
      const T* const from = static_cast<const T*>(p.x) + static_cast<std::size_t>(exists ? row : 0) * p.inner;
      copyToShared(to + at / rows * (rows * rowVectors) + placeOf(at % rows, vector), exists ? from + i : from, exists);
    }
  }

  __device__ void finish(const float (&sum)[columns][4], int turn) const {
    if constexpr (slices == 1) {
      const int tile = tileOf(turn, across_);
      if (tile >= tiles_) return;
#pragma unroll
      for (int column = 0; column < columns; ++column)
#pragma unroll
        for (int i = 0; i < 2; ++i)
          put(tile, firstRow_ + column * linearColumn + 2 * inGroup_ + i, group_, sum[column][i], sum[column][i + 2]);
    } else {
      float* const mine = sums() + warp_ * (rows * quantizedSumStride);
#pragma unroll
      for (int column = 0; column < columns; ++column)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          mine[(column * linearColumn + 2 * inGroup_ + i % 2) * quantizedSumStride + group_ + i / 2 * 8] =
              sum[column][i];
      __syncthreads();
      for (int at = threadIdx.x; at < across * rows * 8; at += threads) {
        const int i = at % 8;
        const int row = at / 8 % rows;
        const int which = at / 8 / rows;
        const auto total = [&](int inTile) {
          float value = 0;
#pragma unroll
          for (int slice = 0; slice < slices; ++slice)
            value += sums()[((slice * across + which) * rows + row) * quantizedSumStride + inTile];
          return value;
        };
        if (tileOf(turn, which) < tiles_) put(tileOf(turn, which), firstRow_ + row, i, total(i), total(i + 8));
      }
      // Before the sums are written again there is a barrier, if there is a chunk at all.
    }
  }
  // Rows i and i + 8 of a tile.
  __device__ void put(int tile, int row, int i, float first, float second) const {
    if (row >= p.rows) return;
    first *= Chunks::scaling;
    second *= Chunks::scaling;
    if (p.gated != 0) {
      const int column = tile * (quantizedTile / 2) + i;
      if (column >= p.outer / 2) return;
      store<T>(p, row, column,
               activate(p.activation, biased<T>(p, column, first)) * biased<T>(p, column + p.outer / 2, second));
      return;
    }
    const int column = tile * quantizedTile + i;
    if (column < p.outer) store<T>(p, row, column, biased<T>(p, column, first));
    if (column + 8 < p.outer) store<T>(p, row, column + 8, biased<T>(p, column + 8, second));
  }

  const LinearParameters& p;
  const Chunks weight_;
  const int tiles_;
  const int chunks_;
  // Of a tile, `slices` chunks each.
  const int steps_;
  const int firstRow_;
  const int warp_ = threadIdx.x / 32;
  const int group_ = threadIdx.x % 32 / 4;
  const int inGroup_ = threadIdx.x % 4;
  const int across_ = threadIdx.x / 32 % across;
  const int slice_ = threadIdx.x / 32 / across;
};

template <typename T, CodeType codes, Offsets offsets, int across, int columns>
__device__ void quantizedMany(const QuantizedLinearParameters& p) {
  letSuccessorBegin();
  QuantizedMany<T, codes, offsets, across, columns>(p).run();
}

}  // namespace tensorrt_node::kernels
