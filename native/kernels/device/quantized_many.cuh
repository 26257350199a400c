// Products of many rows with a packed weight. Blocks take runs of tiles, in panels that they go through from end to
// end, or, where those are too few, parts of a panel; that is then added up by the last of its blocks, in their order.
// Within a block slices of its warps take chunks in turn, and have the next of the weight and of x on their way into
// shared memory by themselves. Codes are decoded once for all of a block's rows of x.
#pragma once

#include "activation.cuh"
#include "arrivals.cuh"
#include "product.cuh"
#include "quantized_tiles.cuh"

namespace tensorrt_node::kernels {

// Eight times `columns` rows of x.
template <typename T, CodeType codes, Offsets offsets, int columns>
class QuantizedMany {
 public:
  __device__ explicit QuantizedMany(const QuantizedLinearParameters& parameters)
      : p(parameters.linear), parameters_(parameters), division_(parameters.division), weight_(parameters) {}

  __device__ void run() const {
    const int stages = parameters_.stages;
    // The weight is nobody's output, so its first chunks are on their way before the predecessor is done.
    Cursor loading = begin();
    for (int stage = 0; stage < stages - 1; ++stage) {
      loadWeight(stage, loading);
      advance(loading);
    }
    waitForPredecessor();
    loading = begin();
    for (int stage = 0; stage < stages - 1; ++stage) {
      loadX(stage, loading);
      endCopies();
      advance(loading);
    }
    int stage = 0;
    Cursor at = begin();
    while (at.tile < tileEnd()) {
      const int panel = at.tile;
      float sum[quantizedManyTiles][columns][4] = {};
      bool begins = true;
      while (at.tile == panel) {
        waitForStage();
        // What came before is everybody's no longer.
        if (begins)
          __syncthreads();
        else
          meet(place());
        begins = false;
        const int free = before(stage);
        loadWeight(free, loading);
        loadX(free, loading);
        endCopies();
        advance(loading);
        add(sum, stage, at);
        advance(at);
        if (++stage == stages) stage = 0;
      }
      leave(sum, panel, before(stage));
    }
    if (division_.splits > 1) join();
  }

 private:
  using Tiles = QuantizedTiles<T, codes, offsets>;
  static constexpr int rows = columns * linearColumn;
  static constexpr int rowVectors = quantizedChunk / elementsPerVector;

  // Of a thread: its slice, its warp there, and its lane.
  struct Place {
    int slice;
    int warp;
    int lane;
  };
  __device__ Place place() const {
    const int thread = threadAnew();
    const int warp = thread / 32;
    static_assert(quantizedManyWarps == 8);
    const int slice = division_.warps == 4 ? warp / 4 : division_.warps == 2 ? warp / 2 : warp;
    return {slice, warp - slice * division_.warps, thread % 32};
  }

  __device__ int firstTile(int run) const { return run * division_.tiles + min(run, division_.moreTiles); }
  __device__ int tileEnd() const { return firstTile(blockIdx.x + 1); }
  // Of a panel's chunks, those of one of its blocks.
  __device__ int firstChunk(int split) const { return split * division_.chunks + min(split, division_.moreChunks); }
  __device__ int chunkEnd() const { return firstChunk(blockIdx.z + 1); }

  // A panel's first tile, and a chunk of it, the first that slices take one each of.
  struct Cursor {
    int tile;
    int chunk;
  };
  __device__ Cursor begin() const { return {firstTile(blockIdx.x), firstChunk(blockIdx.z)}; }
  __device__ void advance(Cursor& cursor) const {
    cursor.chunk += division_.slices;
    if (cursor.chunk >= chunkEnd())
      cursor = {cursor.tile + quantizedPanelTiles(division_.warps), firstChunk(blockIdx.z)};
  }
  __device__ bool has(const Cursor& cursor, int slice) const {
    return cursor.tile < tileEnd() && cursor.chunk + slice < chunkEnd();
  }

  __device__ int before(int stage) const { return stage == 0 ? parameters_.stages - 1 : stage - 1; }
  __device__ void meet(const Place& at) const {
    if (division_.warps == 1)
      __syncwarp();
    else
      waitForWarps(1 + at.slice, division_.warps * 32);
  }
  __device__ void waitForStage() const {
    static_assert(quantizedManyStages == 4);
    if (parameters_.stages == 4)
      waitForCopies<2>();
    else if (parameters_.stages == 3)
      waitForCopies<1>();
    else
      waitForCopies<0>();
  }

  __device__ int panelVectors() const { return quantizedPanelTiles(division_.warps) * Tiles::slotVectors; }
  __device__ uint4* stageOf(int stage, int slice) const {
    return static_cast<uint4*>(launchedShared()) +
           (stage * division_.slices + slice) * quantizedManyStageVectors(codes, offsets, division_, columns);
  }
  // Where a vector of a row is: eight lanes that read four vectors of each of two rows read all banks.
  __device__ static int vectorOf(int row, int vector) { return row * rowVectors + (vector ^ ((row & 1) << 2)); }

  __device__ void loadWeight(int stage, const Cursor& cursor) const {
    const Place at = place();
    if (!has(cursor, at.slice)) return;
    weight_.copy(stageOf(stage, at.slice) + at.warp * (quantizedManyTiles * Tiles::slotVectors),
                 cursor.tile + at.warp * quantizedManyTiles, tileEnd(), cursor.chunk + at.slice, at.lane);
  }
  __device__ void loadX(int stage, const Cursor& cursor) const {
    const Place at = place();
    if (!has(cursor, at.slice)) return;
    // Rows that the slice's warps take at once, and this thread's first.
    const int together = division_.warps * 32 / rowVectors;
    const int first = at.warp * (32 / rowVectors) + at.lane / rowVectors;
    const int vector = at.lane % rowVectors;
    const int i = (cursor.chunk + at.slice) * quantizedChunk + vector * elementsPerVector;
    const int row = blockIdx.y * rows + first;
    // Nothing is read where there is nothing.
    const int left = i < p.inner ? p.rows - row : 0;
    const T* from = static_cast<const T*>(p.x) + std::int64_t{row} * p.inner + i;
    uint4* to = stageOf(stage, at.slice) + panelVectors() + vectorOf(first, vector);
    const std::int64_t step = std::int64_t{together} * p.inner;
    const auto copyRow = [&](int rowStep) {
      copyToShared(to + rowStep * together * rowVectors, from, rowStep * together < left);
      from += step;
    };
    // The largest slices take all at once.
    constexpr int least = rows * rowVectors / (quantizedManyWarps / 2 * 32);
#pragma unroll
    for (int rowStep = 0; rowStep < least; ++rowStep) copyRow(rowStep);
    if (least * together == rows) return;
#pragma unroll
    for (int rowStep = least; rowStep < 2 * least; ++rowStep) copyRow(rowStep);
#pragma unroll 1
    for (int rowStep = 2 * least; rowStep * together < rows; ++rowStep) copyRow(rowStep);
  }

  __device__ void add(float (&sum)[quantizedManyTiles][columns][4], int stage, const Cursor& cursor) const {
    const Place at = place();
    if (!has(cursor, at.slice)) return;
    const uint4* const slots = stageOf(stage, at.slice);
    const uint4* const x = slots + panelVectors() + at.lane / 4 * rowVectors;
    // As vectorOf() has it: of even rows the first of two blocks comes first.
    const int even = at.lane % 4 + ((at.lane / 4 & 1) << 2);
    weight_.add(sum, slots + at.warp * (quantizedManyTiles * Tiles::slotVectors), at.lane, [&](int column, int block) {
      const int vector = block % 2 == 0 ? even : even ^ 4;
      return x[column * (linearColumn * rowVectors) + block / 2 * 8 + vector];
    });
  }

  // Sums of a panel in shared memory, of half of the slices each: [rows, sumStride()]. Reading and writing it as the
  // tensor cores have them takes all banks.
  __device__ int sumStride() const {
    return quantizedManySumStride(division_.warps);
  }

  // Adds up what the slices have of a panel, in place of chunks that all have read, and writes it or, of a part of it,
  // leaves it for the last block. A panel is known by its first tile.
  __device__ void leave(const float (&sum)[quantizedManyTiles][columns][4], int panel, int stage) const {
    const Place at = place();
    const int halves = max(division_.slices / 2, 1);
    auto* const sums = reinterpret_cast<float*>(stageOf(stage, 0));
    const auto each = [&](const auto& use) {
      float* const to = sums + at.slice % halves * (rows * sumStride()) + at.lane % 4 * 2 * sumStride() +
                        at.warp * (quantizedManyTiles * quantizedTile) + at.lane / 4;
#pragma unroll
      for (int tile = 0; tile < quantizedManyTiles; ++tile)
#pragma unroll
        for (int column = 0; column < columns; ++column)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            use(to[(column * linearColumn + i % 2) * sumStride() + tile * quantizedTile + i / 2 * 8],
                sum[tile][column][i]);
    };
    __syncthreads();
    if (at.slice >= halves) each([](float& to, float value) { to = value; });
    if (division_.slices > 1) __syncthreads();
    if (division_.slices == 1)
      each([](float& to, float value) { to = value; });
    else if (at.slice < halves)
      each([](float& to, float value) { to += value; });
    __syncthreads();
    forRows([&](int row, int tile) {
      float v[quantizedTile];
#pragma unroll
      for (int i = 0; i < quantizedTile; i += 4) {
        const float* const from = sums + row * sumStride() + tile * quantizedTile + i;
        float4 part = *reinterpret_cast<const float4*>(from);
#pragma unroll 1
        for (int half = 1; half < halves; ++half) {
          const float4 other = *reinterpret_cast<const float4*>(from + half * rows * sumStride());
          part = make_float4(part.x + other.x, part.y + other.y, part.z + other.z, part.w + other.w);
        }
        v[i] = part.x;
        v[i + 1] = part.y;
        v[i + 2] = part.z;
        v[i + 3] = part.w;
        if (division_.splits > 1) partialsOf(blockIdx.z, row, tile)[i / 4] = part;
      }
      if (division_.splits == 1) put(panel + tile, row, v);
    });
  }

  // For each row of x that exists and each tile of a panel, by one thread.
  template <typename Use>
  __device__ void forRows(const Use& use) const {
    const int tiles = quantizedPanelTiles(division_.warps);
    for (int at = threadIdx.x; at < rows * tiles; at += blockDim.x)
      if (blockIdx.y * rows + at / tiles < p.rows) use(at / tiles, at % tiles);
  }

  // What a block of this one's panel has of a tile and a row.
  __device__ float4* partialsOf(int split, int row, int tile) const {
    const int tiles = quantizedPanelTiles(division_.warps);
    const auto part =
        (static_cast<std::size_t>(blockIdx.y * gridDim.x + blockIdx.x) * division_.splits + split) * rows + row;
    return reinterpret_cast<float4*>(parameters_.partials) + (part * tiles + tile) * (quantizedTile / 4);
  }
  // Adds up a panel if its other blocks have come here before.
  __device__ void join() const {
    if (!arrivesLast(p.arrivals + blockIdx.y * gridDim.x + blockIdx.x, division_.splits)) return;
    const int last = division_.splits - 1;
    forRows([&](int row, int tile) {
      float v[quantizedTile] = {};
      // On their way at once.
      constexpr int ahead = 4;
#pragma unroll 1
      for (int split = 0; split <= last; split += ahead) {
        uint4 parts[ahead][quantizedTile / 4];
#pragma unroll
        for (int j = 0; j < ahead; ++j)
#pragma unroll
          for (int i = 0; i < quantizedTile / 4; ++i)
            parts[j][i] = loadPast(partialsOf(min(split + j, last), row, tile) + i, split + j <= last);
#pragma unroll
        for (int j = 0; j < ahead; ++j)
#pragma unroll
          for (int i = 0; i < quantizedTile / 4; ++i) {
            v[4 * i] += __uint_as_float(parts[j][i].x);
            v[4 * i + 1] += __uint_as_float(parts[j][i].y);
            v[4 * i + 2] += __uint_as_float(parts[j][i].z);
            v[4 * i + 3] += __uint_as_float(parts[j][i].w);
          }
      }
      put(firstTile(blockIdx.x) + tile, row, v);
    });
  }

  // A tile's products with a row of x of this block's.
  __device__ void put(int tile, int row, const float (&sums)[quantizedTile]) const {
    if (tile >= tileEnd()) return;
    constexpr int half = quantizedTile / 2;
    float first[half];
    float second[half];
#pragma unroll
    for (int i = 0; i < half; ++i) {
      first[i] = sums[i] * Tiles::scaling;
      second[i] = sums[i + half] * Tiles::scaling;
    }
    row += blockIdx.y * rows;
    if (p.gated == 0) {
      addBias(tile * quantizedTile, first);
      addBias(tile * quantizedTile + half, second);
      storeRow(row, tile * quantizedTile, p.outer, first);
      storeRow(row, tile * quantizedTile + half, p.outer, second);
      return;
    }
    const int outputs = p.outer / 2;
    addBias(tile * half, first);
    if (p.bias != nullptr)
#pragma unroll
      for (int i = 0; i < half; ++i)
        if (tile * half + i < outputs) second[i] = biased<T>(p, tile * half + i + outputs, second[i]);
#pragma unroll
    for (int i = 0; i < half; ++i) first[i] = activate(p.activation, first[i]) * second[i];
    storeRow(row, tile * half, outputs, first);
  }
  // Eight that follow each other, of those that exist.
  __device__ void addBias(int column, float (&v)[elementsPerVector]) const {
    if (p.bias == nullptr) return;
#pragma unroll
    for (int i = 0; i < elementsPerVector; ++i)
      if (column + i < p.outer) v[i] = biased<T>(p, column + i, v[i]);
  }
  __device__ void storeRow(int row, int column, int outputs, float (&v)[elementsPerVector]) const {
    const std::size_t to = static_cast<std::size_t>(row) * outputs + column;
    if (outputs % elementsPerVector != 0) {
#pragma unroll
      for (int i = 0; i < elementsPerVector; ++i)
        if (column + i < outputs) store<T>(p, row, column + i, v[i]);
      return;
    }
    if (column >= outputs) return;
    if (p.residual != nullptr) {
      const Vector<T> residual = loadVector(static_cast<const T*>(p.residual) + to);
#pragma unroll
      for (int i = 0; i < elementsPerVector; ++i) v[i] += toFloat(residual.elements[i]);
    }
    if (p.outputType == ElementType::float32) {
      auto* const y = reinterpret_cast<float4*>(static_cast<float*>(p.y) + to);
      y[0] = make_float4(v[0], v[1], v[2], v[3]);
      y[1] = make_float4(v[4], v[5], v[6], v[7]);
      return;
    }
    Vector<T> rounded;
#pragma unroll
    for (int i = 0; i < elementsPerVector; ++i) rounded.elements[i] = fromFloat<T>(v[i]);
    storeVector(static_cast<T*>(p.y) + to, rounded);
  }

  const LinearParameters& p;
  const QuantizedLinearParameters& parameters_;
  const QuantizedDivision& division_;
  const Tiles weight_;
};

template <typename T, CodeType codes, Offsets offsets, int columns>
__device__ void quantizedMany(const QuantizedLinearParameters& p) {
  letSuccessorBegin();
  QuantizedMany<T, codes, offsets, columns>(p).run();
}

}  // namespace tensorrt_node::kernels
