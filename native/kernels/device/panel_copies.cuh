// What the copying warps of the kernels for many rows do: chunks of a block's tiles of the weight, and of x, on their
// way into shared memory.
#pragma once

#include "../workspace.h"
#include "quantized_tiles.cuh"

namespace tensorrt_node::kernels {

// A block's tiles, and its chunks of each.
struct BlockShare {
  int firstTile;
  int tileEnd;
  int firstChunk;
  int chunkEnd;

  __device__ explicit BlockShare(const QuantizedDivision& d) {
    const auto begin = [](int all, int more, int part) { return part * all + min(part, more); };
    firstTile = begin(d.tiles, d.moreTiles, blockIdx.x);
    tileEnd = begin(d.tiles, d.moreTiles, blockIdx.x + 1);
    firstChunk = begin(d.chunks, d.moreChunks, blockIdx.z);
    chunkEnd = begin(d.chunks, d.moreChunks, blockIdx.z + 1);
  }
};

template <typename T, CodeType codes, Offsets offsets, int rows>
class PanelCopies {
 public:
  static constexpr int rowVectors = quantizedChunk / elementsPerVector;

  __device__ PanelCopies(const QuantizedLinearParameters& parameters, const BlockShare& share)
      : p(parameters), share_(share), lane_(threadIdx.x % 32) {}

  // Where a vector of a row of x is: eight lanes that read four vectors of each of two rows read all banks.
  __device__ static int vectorOf(int row, int vector) { return row * rowVectors + (vector ^ ((row & 1) << 2)); }

  // A slice's chunk of the weight. Tiles that do not exist are not copied: they add to sums that nobody uses.
  __device__ void copyWeight(uint4* slots, int panel, int chunk) const {
    const int tiles = min(share_.tileEnd - panel, quantizedPanelTiles(p.division.warps));
    copyCodes(slots, panel, tiles, chunk);
    copyScales(slots, panel, tiles, chunk);
  }

  // Its part of x, likewise without rows that do not exist. What follows the last element of a row is zeros, as codes
  // are anything there.
  __device__ void copyX(uint4* to, int chunk) const {
    constexpr int together = 32 / rowVectors;
    const LinearParameters& linear = p.linear;
    const int first = lane_ / rowVectors;
    const int vector = lane_ % rowVectors;
    const int row = blockIdx.y * rows + first;
    const int left = min(linear.rows - row, rows - first);
    const int i = chunk * quantizedChunk + vector * elementsPerVector;
    const T* from = static_cast<const T*>(linear.x) + std::int64_t{row} * linear.inner + i;
    const std::int64_t rowStep = std::int64_t{together} * linear.inner;
    const bool exists = i < linear.inner;
    to += vectorOf(first, vector);
#pragma unroll 8
    for (int at = 0; at < left; at += together, from += rowStep) copyToShared(to + at * rowVectors, from, exists);
  }

 private:
  static constexpr int chunkUnits = quantizedChunkUnits(codes);
  static constexpr int slotVectors = quantizedSlotVectors(codes, offsets);

  __device__ void copyCodes(uint4* slots, int tile, int tiles, int chunk) const {
    const std::int64_t tileBytes = p.layout.units * quantizedUnitBytes;
    const char* from = static_cast<const char*>(p.linear.weight) + tile * tileBytes +
                       chunk * (chunkUnits * quantizedUnitBytes) + lane_ * 16;
    const int units = static_cast<int>(p.layout.units) - chunk * chunkUnits;
    uint4* to = slots + lane_;
    if (units < chunkUnits) {
      for (int i = 0; i < tiles; ++i, from += tileBytes, to += slotVectors)
        for (int unit = 0; unit < units; ++unit) copyToShared(to + unit * 32, from + unit * quantizedUnitBytes, true);
      return;
    }
#pragma unroll 8
    for (int i = 0; i < tiles; ++i, from += tileBytes, to += slotVectors)
#pragma unroll
      for (int unit = 0; unit < chunkUnits; ++unit)
        copyToShared(to + unit * 32, from + unit * quantizedUnitBytes, true);
  }

  // Of a tile's sixteen lanes eight copy scales and eight offsets.
  __device__ void copyScales(uint4* slots, int tile, int tiles, int chunk) const {
    const QuantizedLayout& layout = p.layout;
    const bool ofScales = lane_ % 16 < 8;
    const int blockBytes = ofScales ? layout.scaleBytes : layout.offsetBytes;
    const int chunkBytes = quantizedBlocksOfChunk(p.format) * blockBytes;
    if (lane_ % 8 * 16 >= chunkBytes) return;
    const std::int64_t tileBytes = ofScales ? layout.blocks * blockBytes : layout.tileOffsetBytes;
    const int mine = lane_ / 16;
    // A scale of a whole row is that of each chunk.
    const char* from = static_cast<const char*>(p.linear.weight) + (ofScales ? layout.scales : layout.offsets) +
                       (tile + mine) * tileBytes + (p.format.block == 0 ? 0 : chunk * chunkBytes) + lane_ % 8 * 16;
    uint4* to = slots + mine * slotVectors + quantizedSlotScales(codes) + lane_ % 16;
#pragma unroll 4
    for (int i = mine; i < tiles; i += 2, from += 2 * tileBytes, to += 2 * slotVectors) copyToShared(to, from, true);
  }

  const QuantizedLinearParameters& p;
  const BlockShare& share_;
  const int lane_;
};

}  // namespace tensorrt_node::kernels
