// Products of few rows with a packed weight, bound by reading it: x stays in shared memory, and a block takes tiles
// that follow each other, their chunks dealt out to its warps in turn. Each warp has its next chunks on their way by
// itself; warps meet only to add up a batch of tiles. What a warp adds up depends on the chunk alone, so that a sum's
// order is the same wherever its tile is.
#pragma once

#include "activation.cuh"
#include "product.cuh"
#include "quantized_chunk.cuh"
#include "reduce.cuh"

namespace tensorrt_node::kernels {

template <typename T, CodeType codes, Offsets offsets, int columns>
class QuantizedFew {
 public:
  __device__ explicit QuantizedFew(const QuantizedLinearParameters& parameters)
      : p(parameters.linear),
        weight_(parameters),
        chunks_(divideUp(p.inner, quantizedChunk)),
        firstRow_(blockIdx.y * parameters.rowsOfBlock),
        rows_(min(p.rows - firstRow_, parameters.rowsOfBlock)) {
    const int block = blockIdx.x;
    const int more = parameters.moreTiles;
    firstTile_ = block * parameters.tilesOfBlock + min(block, more);
    tiles_ = parameters.tilesOfBlock + (block < more ? 1 : 0);
    batch_ = min(quantizedFewBatch(rows_), parameters.tilesOfBlock + (more > 0 ? 1 : 0));
    ring_ = static_cast<uint4*>(launchedShared()) + warp_ * (stages * Chunks::slotVectors);
    x_ = static_cast<uint4*>(launchedShared()) + quantizedWarps * stages * Chunks::slotVectors;
    xStride_ = quantizedXStride(p.inner) / elementsPerVector;
    squares_ = reinterpret_cast<float*>(x_ + rows_ * xStride_);
    sums_ = squares_ + rows_ * quantizedWarps;
    while (chunk_ >= chunks_) {
      chunk_ -= chunks_;
      ++tile_;
    }
    loading_ = weight_.cursorAt(firstTile_ + tile_, chunk_);
    first_ = resultAt(threadIdx.x);
  }

  __device__ void run() {
#pragma unroll 1
    for (int slot = 0; slot < stages; ++slot) load(slot);
    Vector<T> norms[normsAhead];
    loadNorms(norms);
    weight_.fetch(firstTile_, tiles_, quantizedWarps * stages, threadIdx.x, threads);
    waitForPredecessor();
    stage(norms);
    __syncthreads();
    int slot = 0;
    float* sums = sums_;
    float sum[columns][4] = {};
    for (int batch = 0; batch < tiles_; batch += batch_) {
      const int end = min(batch + batch_, tiles_);
      const float added = addedTo(batch, end);
      while (tile_ < end) {
        waitForCopies<stages - 1>();
        __syncwarp();
        weight_.add(sum, ring_ + slot * Chunks::slotVectors, [&](int column, int block) {
          const int row = min(column * linearColumn + group_, rows_ - 1);
          return x_[row * xStride_ + chunk_ * (quantizedChunk / elementsPerVector) + block * 4 + inGroup_];
        });
        // All lanes have read the slot.
        __syncwarp();
        load(slot);
        if (++slot == stages) slot = 0;
        leave(sum, sums, batch);
      }
      __syncthreads();
      finish(sums, batch, end, added);
      // The next batch's are elsewhere, so that those who finish are not waited for.
      sums = sums == sums_ ? sums_ + batch_ * tileSums() : sums_;
    }
  }

 private:
  using Chunks = QuantizedChunks<T, codes, offsets>;
  static constexpr int threads = quantizedWarps * 32;
  static constexpr int stages = quantizedFewStages(quantizedBits(codes));
  static constexpr int normsAhead = 2;

  __device__ void load(int slot) {
    if (loading_.tile < firstTile_ + tiles_) weight_.copy(ring_ + slot * Chunks::slotVectors, loading_);
    endCopies();
    weight_.advance(loading_, quantizedWarps, chunks_);
  }

  // Warps of a row of x while it is staged, this one's first row, and its first vector of one.
  __device__ int warpsOfRow() const {
    return rows_ == 1 ? 8 : rows_ == 2 ? 4 : rows_ <= 4 ? 2 : 1;
  }
  __device__ int firstVector() const {
    return warp_ % warpsOfRow() * 32 + lane_;
  }
  __device__ int vectorStep() const {
    return warpsOfRow() * 32;
  }

  // Zeros after the end.
  __device__ Vector<T> vectorOf(const void* from, int vector) const {
    const int at = vector * elementsPerVector;
    return at < p.inner ? loadVector(static_cast<const T*>(from) + at) : Vector<T>();
  }
  __device__ bool hasVectors() const {
    return p.inner % elementsPerVector == 0;
  }
  // Those of the first vectors of each row, which nobody has written.
  __device__ void loadNorms(Vector<T> (&norms)[normsAhead]) const {
    if (p.normWeight == nullptr || !hasVectors()) return;
#pragma unroll
    for (int i = 0; i < normsAhead; ++i) norms[i] = vectorOf(p.normWeight, firstVector() + i * vectorStep());
  }

  // Rows that are not whole vectors: a warp each.
  __device__ void stageElements() const {
    for (int row = warp_; row < rows_; row += quantizedWarps) {
      const T* const from = static_cast<const T*>(p.x) + static_cast<std::size_t>(firstRow_ + row) * p.inner;
      T* const to = reinterpret_cast<T*>(x_ + row * xStride_);
      float squares = 0;
#pragma unroll 1
      for (int i = lane_; i < p.inner; i += 32) squares += toFloat(from[i]) * toFloat(from[i]);
      const float factor = rsqrtf(reduceWarp(squares, Add{}) / static_cast<float>(p.inner) + p.epsilon);
#pragma unroll 1
      for (int i = lane_; i < chunks_ * quantizedChunk; i += 32) {
        T value = i < p.inner ? from[i] : fromFloat<T>(0);
        if (p.normWeight != nullptr && i < p.inner)
          value = fromFloat<T>(toFloat(value) * factor * toFloat(static_cast<const T*>(p.normWeight)[i]));
        to[i] = value;
      }
    }
  }

  __device__ void stage(const Vector<T> (&norms)[normsAhead]) const {
    if (!hasVectors()) {
      stageElements();
      return;
    }
    const int vectors = divideUp(p.inner, quantizedChunk) * (quantizedChunk / elementsPerVector);
    const int ofRow = warpsOfRow();
    const int rowStep = quantizedWarps / ofRow;
    const int part = warp_ % ofRow;
    for (int row = warp_ / ofRow; row < rows_; row += rowStep) {
      const T* const from = static_cast<const T*>(p.x) + static_cast<std::size_t>(firstRow_ + row) * p.inner;
      float squares = 0;
      for (int first = firstVector(); first < vectors; first += 4 * vectorStep()) {
        Vector<T> v[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) v[i] = vectorOf(from, first + i * vectorStep());
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int vector = first + i * vectorStep();
          if (vector < vectors) x_[row * xStride_ + vector] = v[i].bits;
#pragma unroll
          for (int e = 0; e < elementsPerVector; ++e) squares += toFloat(v[i].elements[e]) * toFloat(v[i].elements[e]);
        }
      }
      if (p.normWeight == nullptr) continue;
      squares = reduceWarp(squares, Add{});
      if (lane_ == 0) squares_[row * quantizedWarps + part] = squares;
    }
    if (p.normWeight == nullptr) return;
    __syncthreads();
    for (int row = warp_ / ofRow; row < rows_; row += rowStep) {
      float squares = 0;
#pragma unroll
      for (int i = 0; i < quantizedWarps; ++i)
        if (i < ofRow) squares += squares_[row * quantizedWarps + i];
      const float factor = rsqrtf(squares / static_cast<float>(p.inner) + p.epsilon);
      const auto normalise = [&](int vector, const Vector<T>& norm) {
        if (vector >= vectors) return;
        uint4& at = x_[row * xStride_ + vector];
        Vector<T> v(at);
#pragma unroll
        for (int e = 0; e < elementsPerVector; ++e)
          v.elements[e] = fromFloat<T>(toFloat(v.elements[e]) * factor * toFloat(norm.elements[e]));
        at = v.bits;
      };
#pragma unroll
      for (int i = 0; i < normsAhead; ++i) normalise(firstVector() + i * vectorStep(), norms[i]);
      for (int vector = firstVector() + normsAhead * vectorStep(); vector < vectors; vector += vectorStep())
        normalise(vector, vectorOf(p.normWeight, vector));
    }
  }

  // Sums of a tile, of all warps that have chunks of it.
  __device__ int tileSums() const {
    return quantizedWarps * rows_ * quantizedSumStride;
  }
  // Puts down what there is of a tile, if the chunk was this warp's last of it, and goes on to the next chunk.
  __device__ void leave(float (&sum)[columns][4], float* sums, int batch) {
    const int tile = tile_;
    const int share = chunk_ % quantizedWarps;
    chunk_ += quantizedWarps;
    while (chunk_ >= chunks_) {
      chunk_ -= chunks_;
      ++tile_;
    }
    if (tile == tile_) return;
    float* const to = sums + (tile - batch) * tileSums() + share * rows_ * quantizedSumStride;
#pragma unroll
    for (int column = 0; column < columns; ++column)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = column * linearColumn + 2 * inGroup_ + i % 2;
        if (row < rows_) to[row * quantizedSumStride + group_ + i / 2 * 8] = sum[column][i];
        sum[column][i] = 0;
      }
  }

  // Of a batch's results, the one that is number `at`: of which of its tiles, of which row of x, and which of the
  // tile's.
  struct Result {
    int tile;
    int row;
    int i;
  };
  __device__ int width() const {
    return p.gated == 0 ? quantizedTile : quantizedTile / 2;
  }
  __device__ Result resultAt(int at) const {
    const int rest = p.gated == 0 ? at / quantizedTile : at / (quantizedTile / 2);
    const int tile = rows_ == 1 ? rest : rest / rows_;
    return {tile, rest - tile * rows_, at & (width() - 1)};
  }
  __device__ int columnOf(int batch, const Result& r) const {
    return (firstTile_ + batch + r.tile) * width() + r.i;
  }
  __device__ int outputs() const {
    return p.gated == 0 ? p.outer : p.outer / 2;
  }
  __device__ std::size_t placeOf(int column, const Result& r) const {
    return static_cast<std::size_t>(firstRow_ + r.row) * outputs() + column;
  }

  // What this thread's first result is added to, read while the sum is made.
  __device__ float addedTo(int batch, int end) const {
    const int column = columnOf(batch, first_);
    return first_.tile < end - batch && column < outputs() && p.gated == 0 ? addedTo(column, first_) : 0;
  }
  __device__ float addedTo(int column, const Result& r) const {
    float added = 0;
    if (p.bias != nullptr) added += toFloat(static_cast<const T*>(p.bias)[column]);
    if (p.residual != nullptr) added += toFloat(static_cast<const T*>(p.residual)[placeOf(column, r)]);
    return added;
  }
  __device__ float total(const float* sums, const Result& r, int i) const {
    const float* const from = sums + r.tile * tileSums() + r.row * quantizedSumStride + i;
    const int step = rows_ * quantizedSumStride;
    float value = 0;
#pragma unroll
    for (int share = 0; share < quantizedWarps; ++share)
      if (share < chunks_) value += from[share * step];
    return value * Chunks::scaling;
  }
  __device__ void finish(const float* sums, int batch, int end, float added) const {
    const int results = (end - batch) * rows_ * width();
    for (int at = threadIdx.x; at < results; at += threads) {
      const bool first = at == static_cast<int>(threadIdx.x);
      const Result r = first ? first_ : resultAt(at);
      const int column = columnOf(batch, r);
      if (column >= outputs()) continue;
      float value = total(sums, r, r.i);
      if (p.gated != 0) {
        const float up = biased<T>(p, column + outputs(), total(sums, r, r.i + quantizedTile / 2));
        value = activate(p.activation, biased<T>(p, column, value)) * up;
      } else {
        value += first ? added : addedTo(column, r);
      }
      write<T>(p, placeOf(column, r), value);
    }
  }

  const LinearParameters& p;
  const Chunks weight_;
  const int lane_ = threadIdx.x % 32;
  const int warp_ = threadIdx.x / 32;
  const int group_ = threadIdx.x % 32 / 4;
  const int inGroup_ = threadIdx.x % 4;
  // Of a tile.
  const int chunks_;
  const int firstRow_;
  const int rows_;
  int firstTile_;
  int tiles_;
  int batch_;
  uint4* ring_;
  uint4* x_;
  int xStride_;
  float* squares_;
  float* sums_;
  Result first_;
  // Of this block's tiles, and of a tile's chunks: what this warp multiplies, and what it asks for.
  int tile_ = 0;
  int chunk_ = warp_;
  typename Chunks::Cursor loading_;
};

template <typename T, CodeType codes, Offsets offsets, int columns>
__device__ void quantizedFew(const QuantizedLinearParameters& p) {
  letSuccessorBegin();
  QuantizedFew<T, codes, offsets, columns>(p).run();
}

}  // namespace tensorrt_node::kernels
