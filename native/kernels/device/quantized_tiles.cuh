// Chunks of a few tiles of a packed weight, a warp's own, on their way through shared memory, and their products with
// many rows of x.
#pragma once

#include "../geometry.h"
#include "../workspace.h"
#include "quantized.cuh"

namespace tensorrt_node::kernels {

// Of what it needs of the lane nothing is kept between calls: registers are for sums.
template <typename T, CodeType codes, Offsets offsets>
class QuantizedTiles {
 public:
  // Of a tile.
  static constexpr int slotVectors = quantizedSlotVectors(codes, offsets);

  __device__ explicit QuantizedTiles(const QuantizedLinearParameters& parameters) : p(parameters) {}

  // A chunk of tiles before `end` to shared memory, zeros where there is nothing. Scales of tiles that do not exist
  // could be anything.
  __device__ void copy(uint4* slots, int tile, int end, int chunk, int lane) const {
    const int tiles = end - tile;
    const int tileUnits = static_cast<int>(p.layout.units);
    const int left = tileUnits - chunk * chunkUnits;
    const char* const weight = static_cast<const char*>(p.linear.weight);
    const char* from = weight + lane * 16 + std::int64_t{tile * tileUnits + chunk * chunkUnits} * quantizedUnitBytes;
    uint4* const to = slots + lane;
#pragma unroll
    for (int i = 0; i < quantizedManyTiles; ++i) {
#pragma unroll
      for (int unit = 0; unit < chunkUnits; ++unit)
        copyToShared(to + i * slotVectors + unit * 32, from + unit * quantizedUnitBytes, i < tiles && unit < left);
      from += std::int64_t{tileUnits} * quantizedUnitBytes;
    }
    // Of a tile's sixteen lanes eight copy scales and eight offsets.
    const bool ofScales = lane % 16 < 8;
    const int chunkBytes = blocksOfChunk() * (ofScales ? p.layout.scaleBytes : p.layout.offsetBytes);
    if (lane % 8 * 16 >= chunkBytes) return;
    const auto tileBytes =
        static_cast<int>(ofScales ? p.layout.blocks * p.layout.scaleBytes : p.layout.tileOffsetBytes);
    const int mine = lane / 16;
    // A scale of a whole row is that of each chunk.
    const char* of = weight + (ofScales ? p.layout.scales : p.layout.offsets) + std::int64_t{tile + mine} * tileBytes +
                     (p.format.block == 0 ? 0 : chunk * chunkBytes) + lane % 8 * 16;
    uint4* const scales =
        slots + mine * slotVectors + (ofScales ? quantizedSlotScales(codes) : quantizedSlotOffsets(codes)) + lane % 8;
#pragma unroll
    for (int i = 0; i < quantizedManyTiles; i += 2) {
      copyToShared(scales + i * slotVectors, of, i + mine < tiles);
      of += 2 * tileBytes;
    }
  }

  // Adds their products with `columns` tiles of rows of x: xOf(column, block) is this lane's vector of 32 elements.
  template <int columns, typename XOf>
  __device__ void add(float (&sum)[quantizedManyTiles][columns][4], const uint4* slots, int lane,
                      const XOf& xOf) const {
    // As many as there are registers for.
    constexpr int together = 4;
#pragma unroll(columns == 8 ? 1 : 2)
    for (int block = 0; block < quantizedChunkBlocks; ++block) {
      const int scaled = lane / 4 * blocksOfChunk() + (block >> shiftOf());
#pragma unroll
      for (int first = 0; first < quantizedManyTiles; first += together) {
        Decoded tiles[together];
#pragma unroll
        for (int i = 0; i < together; ++i) tiles[i] = decoded(slots + (first + i) * slotVectors, block, scaled, lane);
#pragma unroll
        for (int column = 0; column < columns; ++column) {
          const uint4 x = xOf(column, block);
          float total[4] = {};
          if constexpr (offsets == Offsets::floating) {
            const std::uint32_t one = ones();
            multiplyAdd(total, one, one, one, one, x.x, x.y, T());
            multiplyAdd(total, one, one, one, one, x.z, x.w, T());
          }
#pragma unroll
          for (int i = 0; i < together; ++i) {
            const Decoded& tile = tiles[i];
            float(&to)[4] = sum[first + i][column];
            float part[4] = {};
            multiplyAdd(part, tile.low.pair[0], tile.high.pair[0], tile.low.pair[1], tile.high.pair[1], x.x, x.y, T());
            multiplyAdd(part, tile.low.pair[2], tile.high.pair[2], tile.low.pair[3], tile.high.pair[3], x.z, x.w, T());
#pragma unroll
            for (int j = 0; j < 4; ++j) {
              to[j] += (j < 2 ? tile.scale.x : tile.scale.y) * part[j];
              if constexpr (offsets == Offsets::floating) to[j] += (j < 2 ? tile.offset.x : tile.offset.y) * total[j];
            }
          }
        }
      }
    }
  }

  // What sums are to be multiplied with in the end.
  static constexpr float scaling = Codes<T, codes>::scaling / quantizedScaling;

 private:
  using Decoder = Codes<T, codes>;
  static constexpr int chunkUnits = quantizedChunkUnits(codes);

  __device__ static std::uint32_t ones() {
    return std::is_same_v<T, __half> ? 0x3C003C00 : 0x3F803F80;
  }
  // 32 elements to blocks.
  __device__ int shiftOf() const {
    return p.format.block == 0 ? 31 : p.format.block == 32 ? 0 : p.format.block == 64 ? 1 : 2;
  }
  __device__ int blocksOfChunk() const {
    return max(quantizedChunkBlocks >> shiftOf(), 1);
  }

  // Codes of 32 elements of rows g and g + 8, and of both rows a scale and a floating offset.
  struct Decoded {
    Pairs low;
    Pairs high;
    float2 scale;
    float2 offset;
  };
  // `scaled`: which of a slot's scales.
  __device__ Decoded decoded(const uint4* slot, int block, int scaled, int lane) const {
    Decoded tile;
    std::uint32_t words[2][2];
    wordsOf(words, slot, block, lane);
    const uint2 zeros = zeroPoints(slot, scaled);
    tile.low = Decoder::decode(words[0], Decoder::offsetOf(zeros.x));
    tile.high = Decoder::decode(words[1], Decoder::offsetOf(zeros.y));
    tile.scale = toFloats(reinterpret_cast<const std::uint32_t*>(slot + quantizedSlotScales(codes))[scaled]);
    if constexpr (offsets == Offsets::floating)
      tile.offset = toFloats(reinterpret_cast<const std::uint32_t*>(slot + quantizedSlotOffsets(codes))[scaled]);
    return tile;
  }
  __device__ void wordsOf(std::uint32_t (&words)[2][2], const uint4* slot, int block, int lane) const {
    if constexpr (codes == CodeType::uint4) {
      const uint4 v = slot[block / 2 * 32 + lane];
      words[0][0] = block % 2 == 0 ? v.x : v.z;
      words[1][0] = block % 2 == 0 ? v.y : v.w;
    } else {
      const uint4 v = slot[block * 32 + lane];
      words[0][0] = v.x;
      words[0][1] = v.y;
      words[1][0] = v.z;
      words[1][1] = v.w;
    }
  }
  __device__ uint2 zeroPoints(const uint4* slot, int at) const {
    constexpr std::uint32_t fixed = fixedOffset<codes, offsets>;
    if constexpr (offsets != Offsets::codes) return make_uint2(fixed, fixed);
    // Both are in one byte, or in two that follow each other.
    const bool halves = codes == CodeType::uint4 && p.format.block == 32;
    const auto* const first =
        reinterpret_cast<const unsigned char*>(slot + quantizedSlotOffsets(codes)) + at * (halves ? 1 : 2);
    return make_uint2(first[0] & (halves ? 15 : 255), first[halves ? 0 : 1] >> (halves ? 4 : 0));
  }

  const QuantizedLinearParameters& p;
};

}  // namespace tensorrt_node::kernels
