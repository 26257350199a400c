// Products of many rows with a packed weight. Blocks take runs of tiles, in panels that they go through from end to
// end, or, where those are too few, parts of a panel; that is then added up by the last of its blocks, in their order.
// Within a block slices of its warps take chunks in turn, which a few other warps have on their way into shared memory:
// what multiplies keeps its registers for that. Codes are decoded once for all of a block's rows of x.
#pragma once

#include "activation.cuh"
#include "arrivals.cuh"
#include "panel_copies.cuh"
#include "product.cuh"

namespace tensorrt_node::kernels {

// Eight times `columns` rows of x.
template <typename T, CodeType codes, Offsets offsets, int columns>
class QuantizedMany {
 public:
  __device__ explicit QuantizedMany(const QuantizedLinearParameters& parameters)
      : p(parameters.linear), parameters_(parameters), division_(parameters.division), weight_(parameters) {}

  __device__ void run() const {
    // By slice and stage: it has been copied; it may be copied to again.
    __shared__ PhaseCounter filled[quantizedManyWarps][quantizedManyStages];
    __shared__ PhaseCounter freed[quantizedManyWarps][quantizedManyStages];
    if (threadIdx.x < quantizedManyWarps * quantizedManyStages) {
      startCounter(filled[0] + threadIdx.x, 2 * 32);
      startCounter(freed[0] + threadIdx.x, division_.warps * 32);
    }
    __syncthreads();
    const BlockShare share(division_);
    const int multiplying = division_.warps * division_.slices;
    const int warp = threadIdx.x / 32;
    if (warp < multiplying)
      multiply(share, Place(division_, warp), filled, freed);
    else
      copy(share, warp - multiplying, filled, freed);
  }

 private:
  static constexpr int rows = columns * linearColumn;
  using Tiles = QuantizedTiles<T, codes, offsets>;
  using Copies = PanelCopies<T, codes, offsets, rows>;
  static constexpr int rowVectors = Copies::rowVectors;
  using Counters = PhaseCounter (&)[quantizedManyWarps][quantizedManyStages];

  __device__ int threadsThatMultiply() const { return division_.warps * division_.slices * 32; }
  // A slice's tiles of a chunk, then their part of x.
  __device__ uint4* stageOf(int stage, int slice) const {
    return static_cast<uint4*>(launchedShared()) + (stage * division_.slices + slice) * parameters_.stageVectors;
  }
  __device__ int panelVectors() const { return quantizedPanelTiles(division_.warps) * Tiles::slotVectors; }

  // Of a thread that multiplies: its slice of the block, its warp there, and its lane.
  struct Place {
    int slice;
    int warp;
    int lane;

    __device__ Place(const QuantizedDivision& d, int warpOfBlock) : lane(threadIdx.x % 32) {
      slice = warpOfBlock / d.warps;
      warp = warpOfBlock - slice * d.warps;
    }
  };

  // Which stage comes next, and whether it has been used an even number of times or an odd one.
  struct Ring {
    int stage = 0;
    int phase = 0;

    __device__ void advance(int stages) {
      if (++stage < stages) return;
      stage = 0;
      phase ^= 1;
    }
  };

  // By a warp, the weight or x of every few slices.
  __device__ void copy(const BlockShare& share, int which, Counters filled, Counters freed) const {
    const Copies copies(parameters_, share);
    const bool ofWeight = which < quantizedManyCopyParts;
    // The weight is nobody's output, so its first chunks are on their way before the predecessor is done.
    int early = ofWeight ? parameters_.stages - 1 : 0;
    int unused = parameters_.stages;
    Ring ring;
    for (int panel = share.firstTile; panel < share.tileEnd; panel += quantizedPanelTiles(division_.warps))
      for (int first = share.firstChunk; first < share.chunkEnd; first += division_.slices) {
        if (early-- == 0) waitForPredecessor();
        for (int slice = which % quantizedManyCopyParts; slice < division_.slices; slice += quantizedManyCopyParts) {
          if (unused <= 0) waitForPhase(&freed[slice][ring.stage], ring.phase ^ 1);
          uint4* const to = stageOf(ring.stage, slice);
          const int chunk = first + slice;
          if (chunk < share.chunkEnd) {
            if (ofWeight)
              copies.copyWeight(to, panel, chunk);
            else
              copies.copyX(to + panelVectors(), chunk);
          }
          arriveAfterCopies(&filled[slice][ring.stage]);
        }
        --unused;
        ring.advance(parameters_.stages);
      }
    if (early >= 0) waitForPredecessor();
  }

  __device__ void multiply(const BlockShare& share, const Place& place, Counters filled, Counters freed) const {
    waitForPredecessor();
    Ring ring;
    const int panels = divideUp(share.tileEnd - share.firstTile, quantizedPanelTiles(division_.warps));
    // How often a stage of the slice is copied to once more.
    int refills = panels * divideUp(share.chunkEnd - share.firstChunk, division_.slices) - parameters_.stages;
    for (int panel = share.firstTile; panel < share.tileEnd; panel += quantizedPanelTiles(division_.warps)) {
      float sum[quantizedManyTiles][columns][4] = {};
      for (int chunk = share.firstChunk; chunk < share.chunkEnd; chunk += division_.slices) {
        waitForPhase(&filled[place.slice][ring.stage], ring.phase);
        if (chunk + place.slice < share.chunkEnd) add(sum, stageOf(ring.stage, place.slice), place);
        // The panel's last becomes the sums'.
        if (chunk + division_.slices >= share.chunkEnd) finish(sum, panel, stageOf(ring.stage, 0), share, place);
        if (refills-- > 0) arrive(&freed[place.slice][ring.stage]);
        ring.advance(parameters_.stages);
      }
    }
  }

  __device__ void add(float (&sum)[quantizedManyTiles][columns][4], const uint4* slots, const Place& place) const {
    const uint4* const x = slots + panelVectors() + place.lane / 4 * rowVectors;
    // As vectorOf() has it: of even rows the first of two blocks comes first.
    const int even = place.lane % 4 + ((place.lane / 4 & 1) << 2);
    weight_.add(sum, slots + place.warp * (quantizedManyTiles * Tiles::slotVectors), place.lane,
                [&](int column, int block) {
                  const int vector = block % 2 == 0 ? even : even ^ 4;
                  return x[column * (linearColumn * rowVectors) + block / 2 * 8 + vector];
                });
  }

  // Of the warps that multiply.
  __device__ void meet() const { waitForWarps(1, threadsThatMultiply()); }

  // Adds up what the slices have of a panel, in place of chunks that all have read, and writes it; or, of a part of it,
  // leaves it for the block that comes last, and if that is this one, writes all. A panel is known by its first tile.
  __device__ void finish(const float (&sum)[quantizedManyTiles][columns][4], int panel, void* memory,
                         const BlockShare& share, const Place& place) const {
    const auto* const sums = static_cast<float*>(memory);
    gather(sum, static_cast<float*>(memory), place);
    const bool whole = division_.splits == 1;
    if (whole || leave(sums)) {
      const int tiles = quantizedPanelTiles(division_.warps);
      for (int at = threadIdx.x; at < rows * tiles; at += threadsThatMultiply()) {
        const int row = at / tiles;
        const int tile = at % tiles;
        if (blockIdx.y * rows + row >= p.rows || panel + tile >= share.tileEnd) continue;
        float v[quantizedTile];
        if (whole)
          load(v, sums, row, tile);
        else
          join(v, row, tile);
        put(panel + tile, row, v);
      }
    }
    // Before another panel's chunks come to where these sums are.
    meet();
  }

  // Sums of a panel in shared memory, of half of the slices each: [rows, sumStride()]. Reading and writing it as the
  // tensor cores have them takes all banks.
  __device__ int sumStride() const { return quantizedManySumStride(division_.warps); }
  __device__ int halfOfSlices() const { return max(division_.slices / 2, 1); }

  // One half of the slices writes its sums, the other adds to them.
  __device__ void gather(const float (&sum)[quantizedManyTiles][columns][4], float* sums, const Place& at) const {
    const int halves = halfOfSlices();
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
    meet();
    if (at.slice < halves) each([](float& to, float value) { to = value; });
    meet();
    if (division_.slices == 1) return;
    if (at.slice >= halves) each([](float& to, float value) { to += value; });
    meet();
  }
  // Four that follow each other in a row of a panel.
  __device__ float4 load(const float* sums, int row, int i) const {
    const float* const from = sums + row * sumStride() + i;
    float4 all = *reinterpret_cast<const float4*>(from);
#pragma unroll 1
    for (int half = 1; half < halfOfSlices(); ++half) {
      const float4 more = *reinterpret_cast<const float4*>(from + half * rows * sumStride());
      all = make_float4(all.x + more.x, all.y + more.y, all.z + more.z, all.w + more.w);
    }
    return all;
  }
  __device__ void load(float (&v)[quantizedTile], const float* sums, int row, int tile) const {
#pragma unroll
    for (int i = 0; i < quantizedTile; i += 4) {
      const float4 four = load(sums, row, tile * quantizedTile + i);
      v[i] = four.x;
      v[i + 1] = four.y;
      v[i + 2] = four.z;
      v[i + 3] = four.w;
    }
  }

  // What a block of this one's panel has: [rows, elements of the panel].
  __device__ float4* partialsOf(int split, int row, int element) const {
    const int elements = quantizedPanelTiles(division_.warps) * quantizedTile;
    const auto part =
        (static_cast<std::size_t>(blockIdx.y * gridDim.x + blockIdx.x) * division_.splits + split) * rows + row;
    return reinterpret_cast<float4*>(parameters_.partials + part * elements + element);
  }
  // Whether the panel's other blocks have left theirs before.
  __device__ bool leave(const float* sums) const {
    __shared__ bool last;
    const int elements = quantizedPanelTiles(division_.warps) * quantizedTile;
    const int existing = min(p.rows - static_cast<int>(blockIdx.y) * rows, rows);
    for (int at = threadIdx.x * 4; at < existing * elements; at += threadsThatMultiply() * 4) {
      const int row = at / elements;
      *partialsOf(blockIdx.z, row, at % elements) = load(sums, row, at % elements);
    }
    meet();
    if (threadIdx.x == 0) last = arrives(p.arrivals + blockIdx.y * gridDim.x + blockIdx.x, division_.splits);
    meet();
    return last;
  }
  // Of all its blocks, a tile's sums of a row.
  __device__ void join(float (&v)[quantizedTile], int row, int tile) const {
    const int last = division_.splits - 1;
#pragma unroll
    for (float& each : v) each = 0;
    // On their way at once.
    constexpr int ahead = 4;
#pragma unroll 1
    for (int split = 0; split <= last; split += ahead) {
      uint4 parts[ahead][quantizedTile / 4];
#pragma unroll
      for (int j = 0; j < ahead; ++j)
#pragma unroll
        for (int i = 0; i < quantizedTile / 4; ++i)
          parts[j][i] = loadPast(partialsOf(min(split + j, last), row, tile * quantizedTile) + i, split + j <= last);
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
  }

  // A tile's products with a row of x of this block's.
  __device__ void put(int tile, int row, const float (&sums)[quantizedTile]) const {
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
