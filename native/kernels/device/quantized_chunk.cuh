// Chunks of a packed weight on their way through shared memory, a warp's own, and their products with x.
#pragma once

#include "../geometry.h"
#include "../workspace.h"
#include "quantized.cuh"

namespace tensorrt_node::kernels {

// With `optional`, integer offsets need not be there: then codes are around their middle.
template <typename T, CodeType codes, Offsets offsets, bool optional = false>
class QuantizedChunks {
 public:
  static constexpr int slotVectors = quantizedSlotVectors(codes, offsets);

  __device__ explicit QuantizedChunks(const QuantizedLinearParameters& parameters)
      : p(parameters),
        shift_(p.format.block == 0    ? 31
               : p.format.block == 32 ? 0
               : p.format.block == 64 ? 1
                                      : 2) {
    // Eight lanes copy scales, and as many offsets: which block of a chunk this one does, and from where.
    const bool ofScales = lane_ < 8;
    int blockBytes = quantizedTile * 2;
    int extra = lane_ % 2 * 16;
    mine_ = lane_ % 8 / 2;
    if (!ofScales && offsets != Offsets::floating) {
      // Two blocks or one in a vector.
      blockBytes = p.layout.offsetBytes;
      mine_ = blockBytes == 8 ? lane_ % 8 * 2 : lane_ % 8;
      extra = 0;
    }
    copies_ = lane_ < (hasOffsets() ? 16 : 8) && mine_ < blocksOfChunk();
    blocks_ = static_cast<const char*>(p.linear.weight) + (ofScales ? p.layout.scales : p.layout.offsets) +
              mine_ * blockBytes + extra;
    tileBytes_ = ofScales ? p.layout.blocks * p.layout.scaleBytes : p.layout.tileOffsetBytes;
    chunkBytes_ = (quantizedChunkBlocks >> shift_) * blockBytes;
    to_ = ofScales ? quantizedSlotScales(codes) + lane_ : quantizedSlotOffsets(codes) + lane_ - 8;
  }

  // A chunk, and where this lane's part of it is.
  struct Cursor {
    int tile;
    int chunk;
    const char* units;
    const char* blocks;
  };
  __device__ Cursor cursorAt(int tile, int chunk) const {
    return {tile, chunk,
            static_cast<const char*>(p.linear.weight) + tile * (p.layout.units * quantizedUnitBytes) +
                chunk * codeBytes + lane_ * 16,
            blocks_ + tile * tileBytes_ + chunk * chunkBytes_};
  }
  // `chunks` further, tiles of `ofTile` following each other.
  __device__ void advance(Cursor& cursor, int chunks, int ofTile) const {
    cursor.chunk += chunks;
    cursor.units += chunks * codeBytes;
    cursor.blocks += chunks * chunkBytes_;
    while (cursor.chunk >= ofTile) {
      ++cursor.tile;
      cursor.chunk -= ofTile;
      cursor.units += p.layout.units * quantizedUnitBytes - ofTile * codeBytes;
      cursor.blocks += tileBytes_ - ofTile * chunkBytes_;
    }
  }

  // A chunk to shared memory. Of units after the last there is what was there before, which is finite, and x is zero;
  // scales could be anything, so that they are zeros there.
  __device__ void copy(uint4* slot, const Cursor& cursor) const {
    const int left = static_cast<int>(p.layout.units) - cursor.chunk * quantizedChunkUnits(codes);
#pragma unroll
    for (int i = 0; i < quantizedChunkUnits(codes); ++i)
      if (i < left) copyToShared(slot + i * 32 + lane_, cursor.units + i * quantizedUnitBytes, true);
    if (!copies_) return;
    const bool has = (cursor.chunk * quantizedChunkBlocks >> shift_) + mine_ < static_cast<int>(p.layout.blocks);
    copyToShared(slot + to_, has ? cursor.blocks : p.linear.weight, has);
  }

  // Asks for codes of tiles that follow each other, from a chunk on, into the GPU's cache; by all threads of a block.
  __device__ void fetch(int tile, int tiles, int chunk, int thread, int threads) const {
    constexpr int line = 128;
    const std::int64_t tileBytes = p.layout.units * quantizedUnitBytes;
    const char* const begin = static_cast<const char*>(p.linear.weight) + tile * tileBytes;
    const std::int64_t first = static_cast<std::int64_t>(chunk) * codeBytes;
    const std::int64_t all = tiles * tileBytes;
    const std::int64_t end = all < first + quantizedFewAhead ? all : first + quantizedFewAhead;
    for (std::int64_t at = first + thread * line; at < end; at += threads * line) prefetch(begin + at);
  }

  // Adds its products with `columns` tiles of rows of x: xOf(column, block) is this lane's vector of 32 elements.
  template <int columns, typename XOf>
  __device__ void add(float (&sum)[columns][4], const uint4* slot, const XOf& xOf) const {
    const int mine = group_ * blocksOfChunk();
    const auto* const scales = reinterpret_cast<const std::uint32_t*>(slot + quantizedSlotScales(codes)) + mine;
#pragma unroll
    for (int block = 0; block < quantizedChunkBlocks; ++block) {
      std::uint32_t words[2][2];
      if constexpr (codes == CodeType::uint4) {
        const uint4 v = slot[block / 2 * 32 + lane_];
        words[0][0] = block % 2 == 0 ? v.x : v.z;
        words[1][0] = block % 2 == 0 ? v.y : v.w;
      } else {
        const uint4 v = slot[block * 32 + lane_];
        words[0][0] = v.x;
        words[0][1] = v.y;
        words[1][0] = v.z;
        words[1][1] = v.w;
      }
      const int scaled = block >> shift_;
      const float2 scale = toFloats(scales[scaled]);
      const uint2 zeros = zeroPoints(slot, mine + scaled);
      const Pairs low = Decoder::decode(words[0], Decoder::offsetOf(zeros.x));
      const Pairs high = Decoder::decode(words[1], Decoder::offsetOf(zeros.y));
      float2 added;
      if constexpr (offsets == Offsets::floating)
        added =
            toFloats(reinterpret_cast<const std::uint32_t*>(slot + quantizedSlotOffsets(codes))[mine + scaled]);
#pragma unroll
      for (int column = 0; column < columns; ++column) {
        const uint4 x = xOf(column, block);
        float part[4] = {};
        multiplyAdd(part, low.pair[0], high.pair[0], low.pair[1], high.pair[1], x.x, x.y, T());
        multiplyAdd(part, low.pair[2], high.pair[2], low.pair[3], high.pair[3], x.z, x.w, T());
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[column][i] += (i < 2 ? scale.x : scale.y) * part[i];
        if constexpr (offsets == Offsets::floating) {
          const std::uint32_t one = ones();
          float total[4] = {};
          multiplyAdd(total, one, one, one, one, x.x, x.y, T());
          multiplyAdd(total, one, one, one, one, x.z, x.w, T());
#pragma unroll
          for (int i = 0; i < 4; ++i) sum[column][i] += (i < 2 ? added.x : added.y) * total[i];
        }
      }
    }
  }

  // What sums are to be multiplied with in the end.
  static constexpr float scaling = Codes<T, codes>::scaling / quantizedScaling;

 private:
  using Decoder = Codes<T, codes>;
  static constexpr int codeBytes = quantizedChunkUnits(codes) * quantizedUnitBytes;

  __device__ static std::uint32_t ones() {
    return std::is_same_v<T, __half> ? 0x3C003C00 : 0x3F803F80;
  }

  __device__ bool hasOffsets() const {
    return optional ? p.format.offsets != Offsets::middle : offsets != Offsets::middle;
  }

  __device__ int blocksOfChunk() const { return max(quantizedChunkBlocks >> shift_, 1); }

  // Of both of this lane's rows: the `at`-th of the slot's.
  __device__ uint2 zeroPoints(const uint4* slot, int at) const {
    constexpr std::uint32_t fixed = fixedOffset<codes, offsets>;
    if (offsets != Offsets::codes || !hasOffsets()) return make_uint2(fixed, fixed);
    // Both are in one byte, or in two that follow each other.
    const bool halves = codes == CodeType::uint4 && shift_ == 0;
    const auto* const first =
        reinterpret_cast<const unsigned char*>(slot + quantizedSlotOffsets(codes)) + at * (halves ? 1 : 2);
    return make_uint2(first[0] & (halves ? 15 : 255), first[halves ? 0 : 1] >> (halves ? 4 : 0));
  }

  const QuantizedLinearParameters& p;
  const int lane_ = threadIdx.x % 32;
  const int group_ = threadIdx.x % 32 / 4;
  // 32 elements to blocks.
  const int shift_;
  bool copies_;
  int mine_;
  int to_;
  const char* blocks_;
  // From tile to tile, and from chunk to chunk.
  std::int64_t tileBytes_;
  int chunkBytes_;
};

}  // namespace tensorrt_node::kernels
