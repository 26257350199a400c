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
      const auto next = [&] {
        if (refills-- > 0) arrive(&freed[place.slice][ring.stage]);
        ring.advance(parameters_.stages);
      };
      for (int chunk = share.firstChunk;; chunk += division_.slices) {
        waitForPhase(&filled[place.slice][ring.stage], ring.phase);
        if (chunk + place.slice < share.chunkEnd) add(sum, stageOf(ring.stage, place.slice), place);
        if (chunk + division_.slices >= share.chunkEnd) break;
        next();
      }
      // The panel's last becomes the sums'.
      finish(sum, panel, stageOf(ring.stage, 0), share, place);
      next();
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
    auto* const sums = static_cast<float*>(memory);
    const bool whole = division_.splits == 1;
    const int counter = p.arrivals + static_cast<int>(blockIdx.y * gridDim.x + blockIdx.x);
    // On its way while sums are gathered.
    const std::uint32_t arrived = !whole && threadIdx.x == 0 ? arrivedBefore(counter) : 0;
    __shared__ bool last;
    gather(sum, sums, place);
    if (threadIdx.x == 0) last = whole || allArrived(counter, division_.splits, arrived);
    meet();
    if (!last) leave(sums, counter, last);
    if (last) write(sums, panel, share);
    // Before another panel's chunks come to where these sums are.
    meet();
  }

  // Sums of a panel in shared memory, of one or two slices each: [rows, sumStride()]. Reading and writing it as the
  // tensor cores have them takes all banks.
  __device__ int sumStride() const { return quantizedManySumStride(division_.warps); }
  __device__ int halfOfSlices() const { return divideUp(division_.slices, 2); }

  // The first half of the slices writes its sums, each of the others adds to those of one; to be seen after they meet.
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
    if (division_.slices == 1) return;
    meet();
    if (at.slice >= halves) each([](float& to, float value) { to += value; });
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

  __device__ int elementsOfPanel() const {
    return quantizedPanelTiles(division_.warps) * quantizedTile;
  }
  // Of rows of x that this block has, those that exist.
  __device__ int existingRows() const {
    return min(p.rows - static_cast<int>(blockIdx.y) * rows, rows);
  }
  // What blocks of this one's panel have: [splits, rows, elements of the panel].
  __device__ float* partials() const {
    const std::size_t panel = blockIdx.y * gridDim.x + blockIdx.x;
    return parameters_.partials + panel * (division_.splits * rows * elementsOfPanel());
  }

  // Leaves this block's sums for the one that comes last: that may still be this one.
  __device__ void leave(const float* sums, int counter, bool& last) const {
    const int elements = elementsOfPanel();
    const int fours = elements / 4;
    const int element = static_cast<int>(threadIdx.x) % fours * 4;
    const int existing = existingRows();
    const int step = threadsThatMultiply() / fours;
    float* const to = partials() + blockIdx.z * (rows * elements) + element;
    for (int row = static_cast<int>(threadIdx.x) / fours; row < existing; row += step)
      *reinterpret_cast<float4*>(to + row * elements) = load(sums, row, element);
    meet();
    if (threadIdx.x == 0) last = arrives(counter, division_.splits);
    meet();
  }

  // Rows that a thread has on their way at once.
  static constexpr int together = 2;
  using Fours = float (&)[together][4];

  // A thread writes the same four columns of every few rows: of a gated product those of four gates, their ups being
  // half a tile further on.
  __device__ void write(const float* sums, int panel, const BlockShare& share) const {
    const bool gated = p.gated != 0;
    const int width = gated ? quantizedTile / 2 : quantizedTile;
    const int outputs = gated ? p.outer / 2 : p.outer;
    const int fours = quantizedPanelTiles(division_.warps) * width / 4;
    const int four = static_cast<int>(threadIdx.x) % fours;
    const int column = panel * width + four * 4;
    if (column >= min(outputs, share.tileEnd * width)) return;
    const int element = gated ? four / 2 * quantizedTile + four % 2 * 4 : four * 4;
    const int existing = existingRows();
    const int step = threadsThatMultiply() / fours;
    // The last of a row may be less.
    const bool areFours = outputs % 4 == 0;
    const std::size_t begin = static_cast<std::size_t>(blockIdx.y * rows) * outputs + column;
    for (int first = static_cast<int>(threadIdx.x) / fours; first < existing; first += together * step) {
      uint2 residuals[together] = {};
      if (p.residual != nullptr && areFours)
#pragma unroll
        for (int j = 0; j < together; ++j)
          if (first + j * step < existing)
            residuals[j] = *reinterpret_cast<const uint2*>(static_cast<const T*>(p.residual) + begin +
                                                           (first + j * step) * outputs);
      float v[together][4];
      add(v, sums, first, step, existing, element);
      if (p.bias != nullptr) addBias(v, column, outputs, 0);
      if (gated) {
        float ups[together][4];
        add(ups, sums, first, step, existing, element + quantizedTile / 2);
        if (p.bias != nullptr) addBias(ups, column, outputs, outputs);
#pragma unroll
        for (int j = 0; j < together; ++j)
#pragma unroll
          for (int i = 0; i < 4; ++i) v[j][i] = activate(p.activation, v[j][i]) * ups[j][i];
      }
#pragma unroll
      for (int j = 0; j < together; ++j) {
        const int row = first + j * step;
        if (row >= existing) continue;
        if (areFours) {
          put(begin + row * outputs, v[j], residuals[j]);
        } else {
          for (int i = 0; i < 4; ++i)
            if (column + i < outputs) store<T>(p, blockIdx.y * rows + row, column + i, v[j][i]);
        }
      }
    }
  }

  // Of all blocks of the panel, in their order, four of every `step` rows.
  __device__ void add(Fours v, const float* sums, int first, int step, int existing, int element) const {
#pragma unroll
    for (int j = 0; j < together; ++j) {
#pragma unroll
      for (float& each : v[j]) each = 0;
      if (division_.splits == 1 && first + j * step < existing) add(v[j], load(sums, first + j * step, element));
    }
    if (division_.splits > 1) addSplits(v, sums, first, step, existing, element);
#pragma unroll
    for (auto& four : v)
#pragma unroll
      for (float& each : four) each *= Tiles::scaling;
  }
  __device__ void addSplits(Fours v, const float* sums, int first, int step, int existing, int element) const {
    const int own = static_cast<int>(blockIdx.z);
    const int others = division_.splits - 1;
    const int elements = elementsOfPanel();
    const float* const from = partials() + element;
    constexpr int ahead = 3;
#pragma unroll 1
    for (int split = 0; split <= others; split += ahead) {
      uint4 parts[ahead][together];
#pragma unroll
      for (int i = 0; i < ahead; ++i) {
        const int other = split + i;
        const int row = (other + (other >= own ? 1 : 0)) * rows + first;
#pragma unroll
        for (int j = 0; j < together; ++j)
          parts[i][j] = loadPast(from + (row + j * step) * elements, other < others && first + j * step < existing);
      }
#pragma unroll
      for (int i = 0; i < ahead; ++i) {
        if (split + i == own)
#pragma unroll
          for (int j = 0; j < together; ++j)
            if (first + j * step < existing) add(v[j], load(sums, first + j * step, element));
#pragma unroll
        for (int j = 0; j < together; ++j)
          add(v[j], make_float4(__uint_as_float(parts[i][j].x), __uint_as_float(parts[i][j].y),
                                __uint_as_float(parts[i][j].z), __uint_as_float(parts[i][j].w)));
      }
    }
  }
  __device__ static void add(float (&v)[4], const float4& more) {
    v[0] += more.x;
    v[1] += more.y;
    v[2] += more.z;
    v[3] += more.w;
  }

  // Of columns that exist.
  __device__ void addBias(Fours v, int column, int outputs, int first) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (column + i >= outputs) continue;
      const float bias = toFloat(static_cast<const T*>(p.bias)[first + column + i]);
#pragma unroll
      for (int j = 0; j < together; ++j) v[j][i] += bias;
    }
  }

  __device__ void put(std::size_t to, float (&v)[4], const uint2& residual) const {
    if (p.residual != nullptr) add(v, unpack<T>(residual));
    if (p.outputType == ElementType::float32)
      *reinterpret_cast<float4*>(static_cast<float*>(p.y) + to) = make_float4(v[0], v[1], v[2], v[3]);
    else
      *reinterpret_cast<uint2*>(static_cast<T*>(p.y) + to) = make_uint2(pack<T>(v[0], v[1]), pack<T>(v[2], v[3]));
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
