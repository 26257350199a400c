// Products of few rows with a packed weight, bound by reading it: x stays in shared memory, and blocks take
// tiles in turn, whose chunks are dealt out to a block's warps in turn. Each warp has its next chunks on their way by
// itself; warps meet only to add up a batch of tiles. What a warp adds up depends on the chunk alone, so that a sum's
// order is the same wherever its tile is.
#pragma once

#include "activation.cuh"
#include "product.cuh"
#include "quantized_chunk.cuh"
#include "reduce.cuh"

namespace tensorrt_node::kernels {

// At most so many rows: one, or tiles of eight.
template <typename T, CodeType codes, Offsets offsets, int rows>
class QuantizedFew {
 public:
  __device__ explicit QuantizedFew(const QuantizedLinearParameters& parameters)
      : p(parameters.linear),
        parameters_(parameters),
        weight_(parameters),
        chunks_(divideUp(p.inner, quantizedChunk)),
        firstRow_(blockIdx.y * parameters.rowsOfBlock),
        rows_(rows == 1 ? 1 : min(p.rows - firstRow_, parameters.rowsOfBlock)),
        totalsStride_(quantizedTotalsStride(rows_)) {
    const int block = blockIdx.x;
    tiles_ = parameters.tilesOfBlock + (block < parameters.moreTiles ? 1 : 0);
    ring_ = static_cast<uint4*>(launchedShared()) + warp_ * (stages * Chunks::slotVectors);
    x_ = static_cast<uint4*>(launchedShared()) + quantizedFewWarps * stages * Chunks::slotVectors;
    xStride_ = quantizedXStride(p.inner) / elementsPerVector;
    totals_ = reinterpret_cast<float*>(x_ + rows_ * xStride_);
    squares_ = totals_ + chunks_ * quantizedChunkBlocks * totalsStride_;
    sums_ = squares_ + rows_ * quantizedFewWarps;
    while (chunk_ >= chunks_) {
      chunk_ -= chunks_;
      ++tile_;
    }
    loading_ = weight_.cursorAt(block + tile_ * static_cast<int>(gridDim.x), chunk_);
    first_ = resultAt(threadIdx.x);
  }

  __device__ void run() {
#pragma unroll 1
    for (int slot = 0; slot < parameters_.stagesBefore; ++slot) load(slot);
    Vector<T> norms[normsAhead];
    loadNorms(norms);
    waitForPredecessor();
    Vector<T> some[together];
    Vector<T> more[moreVectors];
    const int ofRow = divideUp(vectors(), threads);
    if (hasVectors()) loadFirst(some, more, ofRow);
#pragma unroll 1
    for (int slot = parameters_.stagesBefore; slot < stages; ++slot) load(slot);
    if (!hasVectors())
      stageElements();
    else if constexpr (rows == 1)
      stageRow(some, more, ofRow, norms);
    else
      stage(some, ofRow, norms);
    __syncthreads();
    int slot = 0;
    float* sums = sums_;
    Sum sum{};
    for (int batch = 0; batch < tiles_; batch += parameters_.batch) {
      const int end = min(batch + parameters_.batch, tiles_);
      const float added = addedTo(batch, end);
      while (tile_ < end) {
        waitForCopies<stages - 1>();
        __syncwarp();
        multiply(sum, ring_ + slot * Chunks::slotVectors);
        // All lanes have read the slot.
        __syncwarp();
        load(slot);
        if (++slot == stages) slot = 0;
        leave(sum, sums, batch);
      }
      __syncthreads();
      finish(sums, batch, end, added);
      // The next batch's are elsewhere, so that those who finish are not waited for.
      sums = sums == sums_ ? sums_ + parameters_.batch * tileSums() : sums_;
    }
  }

 private:
  using Chunks = QuantizedChunks<T, codes, offsets>;
  static constexpr int columns = divideUp(rows, linearColumn);
  struct TileSum {
    float of[columns][4];
  };
  using Sum = std::conditional_t<rows == 1, typename Chunks::RowSum, TileSum>;
  static constexpr int threads = quantizedFewWarps * 32;
  static constexpr int stages = quantizedFewStages(quantizedBits(codes));
  static constexpr int normsAhead = 2;
  // Vectors of x that a thread has on their way.
  static constexpr int together = rows == 1 ? normsAhead : 4;
  // And more of a single row, if it is that long.
  static constexpr int moreVectors = rows == 1 ? 6 : 1;

  __device__ typename Chunks::Step step() const {
    return {parameters_.stepTiles, parameters_.stepChunks};
  }
  __device__ void load(int slot) {
    weight_.copy(ring_ + slot * Chunks::slotVectors, loading_,
                 loading_.tile < static_cast<int>(parameters_.layout.tiles));
    endCopies();
    weight_.advance(loading_, step(), chunks_, gridDim.x);
  }
  __device__ void multiply(Sum& sum, const uint4* slot) const {
    const uint4* const x = x_ + chunk_ * (quantizedChunk / elementsPerVector) + inGroup_;
    const float* const totals = totals_ + chunk_ * (quantizedChunkBlocks * totalsStride_);
    if constexpr (rows == 1) {
      weight_.addRow(
          sum, slot, [&](int block) { return x[block * 4]; }, totals[inGroup_]);
    } else {
      weight_.add(
          sum.of, slot,
          [&](int column, int block) {
            const int row = min(column * linearColumn + group_, rows_ - 1);
            return x[row * xStride_ + block * 4];
          },
          [&](int column, int block) {
            const int pair = min(column * (linearColumn / 2) + inGroup_, totalsStride_ / 4 - 1);
            return *reinterpret_cast<const float4*>(totals + block * totalsStride_ + 4 * pair);
          });
    }
  }

  // Zeros after the end.
  __device__ Vector<T> vectorOf(const void* from, int vector) const {
    const int at = vector * elementsPerVector;
    return at < p.inner ? loadVector(static_cast<const T*>(from) + at) : Vector<T>();
  }
  __device__ bool hasVectors() const {
    return p.inner % elementsPerVector == 0;
  }
  // Vectors of a row of x: this thread's i-th.
  __device__ static int vectorAt(int i) {
    return i * threads + static_cast<int>(threadIdx.x);
  }
  // Those of the first vectors of each row, which nobody has written.
  __device__ void loadNorms(Vector<T> (&norms)[normsAhead]) const {
    if (p.normWeight == nullptr || !hasVectors()) return;
#pragma unroll
    for (int i = 0; i < normsAhead; ++i) norms[i] = vectorOf(p.normWeight, vectorAt(i));
  }

  // Twice, as add() takes them.
  __device__ void putTotal(int row, int block, float total) const {
    float* const to = totals_ + block * totalsStride_ + row / 2 * 4 + row % 2;
    to[0] = total * Chunks::totalScaling;
    if constexpr (rows != 1) to[2] = total * Chunks::totalScaling;
  }

  // Of an element in its vector, as of Chunks::placed().
  __device__ static int placeOf(int i) {
    return (i & 1) | (i & 2) << 1 | (i & 4) >> 1;
  }
  // Rows that are not whole vectors: a warp each.
  __device__ void stageElements() const {
    for (int row = warp_; row < rows_; row += quantizedFewWarps) {
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
        to[i & ~7 | placeOf(i & 7)] = value;
        const float total = reduceWarp(toFloat(value), Add{});
        if (lane_ == 0) putTotal(row, i / 32, total);
      }
    }
  }

  __device__ int vectors() const {
    return chunks_ * (quantizedChunk / elementsPerVector);
  }
  // A vector of x that is as it will be multiplied; by all lanes, with those after the last too.
  __device__ void putVector(int row, int vector, const Vector<T>& v) const {
    const bool exists = row < rows_ && vector < vectors();
    if (exists) x_[row * xStride_ + vector] = Chunks::placed(v.bits);
    float total = 0;
#pragma unroll
    for (int e = 0; e < elementsPerVector; ++e) total += toFloat(v.elements[e]);
    // Four lanes have a block.
    total += __shfl_xor_sync(0xFFFFFFFF, total, 1);
    total += __shfl_xor_sync(0xFFFFFFFF, total, 2);
    if (exists && lane_ % 4 == 0) putTotal(row, vector / 4, total);
  }

  // This thread's vectors of all rows, some at once.
  struct Place {
    int row;
    int i;
  };
  __device__ void next(Place& place, int ofRow) const {
    if (++place.i < ofRow) return;
    place.i = 0;
    ++place.row;
  }
  __device__ void loadSome(Vector<T> (&v)[together], Place place, int ofRow) const {
#pragma unroll
    for (int k = 0; k < together; ++k, next(place, ofRow)) v[k] = xAt(place.row, vectorAt(place.i));
  }
  __device__ Vector<T> xAt(int row, int vector) const {
    const int at = vector * elementsPerVector;
    const bool exists = row < rows_ && at < p.inner;
    const T* const from = static_cast<const T*>(p.x);
    return Vector<T>(
        loadPast(from + (exists ? static_cast<std::size_t>(firstRow_ + row) * p.inner + at : std::size_t{0}), exists));
  }

  __device__ void loadFirst(Vector<T> (&some)[together], Vector<T> (&more)[moreVectors], int ofRow) const {
    loadSome(some, {0, 0}, ofRow);
    if constexpr (rows == 1) {
      if (ofRow <= together) return;
#pragma unroll
      for (int i = 0; i < moreVectors; ++i) more[i] = xAt(0, vectorAt(together + i));
    }
  }

  // One row, of which this thread has the first vectors.
  __device__ void stageRow(Vector<T> (&some)[together], Vector<T> (&more)[moreVectors], int ofRow,
                           const Vector<T> (&norms)[normsAhead]) const {
    const int rest = together + moreVectors;
    if (p.normWeight == nullptr) {
#pragma unroll
      for (int i = 0; i < together; ++i) putVector(0, vectorAt(i), some[i]);
      if (ofRow <= together) return;
#pragma unroll
      for (int i = 0; i < moreVectors; ++i) putVector(0, vectorAt(together + i), more[i]);
#pragma unroll 1
      for (int i = rest; i < ofRow; ++i) putVector(0, vectorAt(i), xAt(0, vectorAt(i)));
      return;
    }
    float squares = 0;
#pragma unroll
    for (int i = 0; i < together; ++i) squares += squaresOf(some[i]);
    if (ofRow > together) {
#pragma unroll
      for (int i = 0; i < moreVectors; ++i) squares += squaresOf(more[i]);
#pragma unroll 1
      for (int i = rest; i < ofRow; ++i) squares += squaresOf(xAt(0, vectorAt(i)));
    }
    squares = reduceWarp(squares, Add{});
    if (lane_ == 0) squares_[warp_] = squares;
    __syncthreads();
    const float factor = factorOf(0);
#pragma unroll
    for (int i = 0; i < together; ++i) putVector(0, vectorAt(i), normalised(some[i], factor, norms[i]));
    if (ofRow <= together) return;
    const auto normAt = [&](int i) { return vectorOf(p.normWeight, vectorAt(i)); };
#pragma unroll
    for (int i = 0; i < moreVectors; ++i)
      putVector(0, vectorAt(together + i), normalised(more[i], factor, normAt(together + i)));
#pragma unroll 1
    for (int i = rest; i < ofRow; ++i) putVector(0, vectorAt(i), normalised(xAt(0, vectorAt(i)), factor, normAt(i)));
  }
  __device__ static Vector<T> normalised(Vector<T> v, float factor, const Vector<T>& norm) {
#pragma unroll
    for (int e = 0; e < elementsPerVector; ++e)
      v.elements[e] = fromFloat<T>(toFloat(v.elements[e]) * factor * toFloat(norm.elements[e]));
    return v;
  }
  __device__ static float squaresOf(const Vector<T>& v) {
    float squares = 0;
#pragma unroll
    for (int e = 0; e < elementsPerVector; ++e) squares += toFloat(v.elements[e]) * toFloat(v.elements[e]);
    return squares;
  }

  // With the first vectors at hand.
  __device__ void stage(Vector<T> (&v)[together], int ofRow, const Vector<T> (&norms)[normsAhead]) const {
    const int all = rows_ * ofRow;
    Place first{0, 0};
    const bool normed = p.normWeight != nullptr;
    for (int begin = 0; begin < all; begin += together) {
      if (begin > 0) loadSome(v, first, ofRow);
#pragma unroll
      for (int k = 0; k < together; ++k, next(first, ofRow)) {
        if (begin + k >= all) continue;
        if (normed)
          addSquares(first, v[k]);
        else
          putVector(first.row, vectorAt(first.i), v[k]);
      }
    }
    if (!normed) return;
    __syncthreads();
    first = {0, 0};
    for (int begin = 0; begin < all; begin += together) {
      if (all > together) loadSome(v, first, ofRow);
#pragma unroll
      for (int k = 0; k < together; ++k, next(first, ofRow)) {
        if (begin + k >= all) continue;
        const Vector<T> norm = first.i == 0   ? norms[0]
                               : first.i == 1 ? norms[1]
                                              : vectorOf(p.normWeight, vectorAt(first.i));
        putVector(first.row, vectorAt(first.i), normalised(v[k], factorOf(first.row), norm));
      }
    }
  }
  // To a row's squares of this warp.
  __device__ void addSquares(const Place& place, const Vector<T>& v) const {
    const float squares = reduceWarp(squaresOf(v), Add{});
    if (lane_ != 0) return;
    float& all = squares_[place.row * quantizedFewWarps + warp_];
    all = place.i == 0 ? squares : all + squares;
  }
  __device__ float factorOf(int row) const {
    float squares = 0;
#pragma unroll
    for (int i = 0; i < quantizedFewWarps; ++i) squares += squares_[row * quantizedFewWarps + i];
    return rsqrtf(squares / static_cast<float>(p.inner) + p.epsilon);
  }

  // Sums of a tile, of all warps that have chunks of it.
  __device__ int tileSums() const {
    return quantizedFewWarps * rows_ * quantizedSumStride;
  }
  // Puts down what there is of a tile, if the chunk was this warp's last of it, and goes on to the next chunk.
  __device__ void leave(Sum& sum, float* sums, int batch) {
    const int tile = tile_;
    const int share = chunk_ % quantizedFewWarps;
    chunk_ += parameters_.stepChunks;
    const bool further = chunk_ >= chunks_;
    chunk_ -= further ? chunks_ : 0;
    tile_ += parameters_.stepTiles + (further ? 1 : 0);
    if (tile == tile_) return;
    float* const to = sums + (tile - batch) * tileSums() + share * rows_ * quantizedSumStride;
    if constexpr (rows == 1) {
      const float2 both = Chunks::sumOf(sum);
      if (inGroup_ == 0) {
        to[group_] = both.x;
        to[group_ + 8] = both.y;
      }
    } else {
#pragma unroll
      for (int column = 0; column < columns; ++column)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int row = column * linearColumn + 2 * inGroup_ + i % 2;
          if (row < rows_) to[row * quantizedSumStride + group_ + i / 2 * 8] = sum.of[column][i];
        }
    }
    sum = {};
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
    return (static_cast<int>(blockIdx.x) + (batch + r.tile) * static_cast<int>(gridDim.x)) * width() + r.i;
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
    for (int share = 0; share < quantizedFewWarps; ++share)
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
  const QuantizedLinearParameters& parameters_;
  const Chunks weight_;
  const int lane_ = threadIdx.x % 32;
  const int warp_ = threadIdx.x / 32;
  const int group_ = threadIdx.x % 32 / 4;
  const int inGroup_ = threadIdx.x % 4;
  // Of a tile.
  const int chunks_;
  const int firstRow_;
  const int rows_;
  const int totalsStride_;
  int tiles_;
  uint4* x_;
  uint4* ring_;
  int xStride_;
  // [blocks of 32, totalsStride_]: what x adds up to, of two rows twice.
  float* totals_;
  float* squares_;
  float* sums_;
  Result first_;
  // Of this block's tiles, and of a tile's chunks: what this warp multiplies, and what it asks for.
  int tile_ = 0;
  int chunk_ = warp_;
  typename Chunks::Cursor loading_;
};

template <typename T, CodeType codes, Offsets offsets, int rows>
__device__ void quantizedFew(const QuantizedLinearParameters& p) {
  letSuccessorBegin();
  QuantizedFew<T, codes, offsets, rows>(p).run();
}

}  // namespace tensorrt_node::kernels
