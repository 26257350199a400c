// Chunks of a packed weight on their way through shared memory, a warp's own, and their products with x.
#pragma once

#include "../geometry.h"
#include "../workspace.h"
#include "quantized.cuh"
#include "raw_codes.cuh"

namespace tensorrt_node::kernels {

// Codes are multiplied as they are; what is taken off them is taken off the product: the zero point times what x adds
// up to over the block.
template <typename T, CodeType codes, Offsets offsets>
class QuantizedChunks {
 public:
  static constexpr int slotVectors = quantizedSlotVectors(codes, offsets);
  static constexpr int codeBytes = quantizedChunkUnits(codes) * quantizedUnitBytes;

  __device__ explicit QuantizedChunks(const QuantizedLinearParameters& parameters)
      : p(parameters),
        shift_(p.format.block == 0    ? 31
               : p.format.block == 32 ? 0
               : p.format.block == 64 ? 1
                                      : 2),
        blocks_(max(quantizedChunkBlocks >> shift_, 1)) {}

  // A chunk of a tile, and where it is: its codes in vectors, its scales in words.
  struct Cursor {
    int tile;
    int chunk;
    std::uint32_t units;
    std::uint32_t scales;
  };
  // How far the next is, where that is in the same tile or a later one, `chunks` further.
  struct Step {
    int tiles;
    int chunks;
  };
  __device__ Cursor cursorAt(int tile, int chunk) const {
    return {tile, chunk, static_cast<std::uint32_t>(tile) * tileVectors() + chunk * chunkVectors + lane_,
            static_cast<std::uint32_t>(tile) * tileWords() + chunk * chunkWords() + group_ * blocks_ +
                (static_cast<int>(threadIdx.x) % 4 >> shift_)};
  }
  // The next by a step of less than a tile of `ofTile` chunks beside whole ones, every `each`-th tile being taken.
  __device__ void advance(Cursor& cursor, const Step& step, int ofTile, int each) const {
    cursor.chunk += step.chunks;
    const bool further = cursor.chunk >= ofTile;
    const int tiles = (step.tiles + (further ? 1 : 0)) * each;
    const int chunks = step.chunks - (further ? ofTile : 0);
    cursor.chunk -= further ? ofTile : 0;
    cursor.tile += tiles;
    cursor.units += tiles * tileVectors() + chunks * chunkVectors;
    cursor.scales += tiles * tileWords() + chunks * chunkWords();
  }

  // A chunk to shared memory, if there is one. Of units after the last there is what was there before: x is zero, and
  // any bits are a number.
  __device__ void copy(uint4* slot, const Cursor& cursor, bool exists) const {
    const auto* const vectors = static_cast<const uint4*>(p.linear.weight) + cursor.units;
    const int left = static_cast<int>(p.layout.units) - cursor.chunk * quantizedChunkUnits(codes);
#pragma unroll
    for (int i = 0; i < quantizedChunkUnits(codes); ++i)
      copyToSharedIf(slot + i * 32 + lane_, vectors + i * 32, exists && i < left);
    const auto* const scales = static_cast<const char*>(p.linear.weight) + p.layout.scales;
    auto* const to = reinterpret_cast<std::uint32_t*>(slot + quantizedSlotScales(codes)) + lane_;
    copyWordToSharedIf(to, scales + std::size_t{cursor.scales} * 4, exists);
    const auto* const offsetsFrom = static_cast<const char*>(p.linear.weight) + p.layout.offsets;
    auto* const offsetsTo = reinterpret_cast<std::uint32_t*>(slot + quantizedSlotOffsets(codes)) + lane_;
    if constexpr (offsets == Offsets::floating)
      copyWordToSharedIf(offsetsTo, offsetsFrom + std::size_t{cursor.scales} * 4, exists);
    if constexpr (offsets == Offsets::codes) {
      const int bytes = 8 * blocks_ * (halves() ? 1 : 2);
      const std::int64_t at = cursor.tile * p.layout.tileOffsetBytes + (p.format.block == 0 ? 0 : cursor.chunk * bytes);
      copyWordToSharedIf(offsetsTo, offsetsFrom + at + lane_ * 4, exists && lane_ * 4 < bytes);
    }
  }

  // Adds its products with `columns` tiles of rows of x: xOf(column, block) is this lane's vector of 32 elements, its
  // words in the order of `place`, and totalsOf(column, block) what x of its two rows of x adds up to there, twice and
  // times `totalScaling`.
  template <int columns, typename XOf, typename TotalsOf>
  __device__ void add(float (&sum)[columns][4], const uint4* slot, const XOf& xOf, const TotalsOf& totalsOf) const {
    const uint4 scales = slot[quantizedSlotScales(codes) + group_];
    uint4 more;
    if constexpr (offsets == Offsets::floating) more = slot[quantizedSlotOffsets(codes) + group_];
#pragma unroll
    for (int block = 0; block < quantizedChunkBlocks; ++block) {
      const uint4 unit = slot[block / Raw::blocks * 32 + lane_];
      const RawPairs low = Raw::decode(unit, block, 0);
      const RawPairs high = Raw::decode(unit, block, 1);
      const float2 scale = toFloats(wordOf(scales, block));
      float2 added;
      if constexpr (offsets == Offsets::floating) added = toFloats(wordOf(more, block));
      float2 zeros;
      if constexpr (offsets == Offsets::codes) zeros = zeroPoints(slot, group_ * blocks_ + (block >> shift_));
#pragma unroll
      for (int column = 0; column < columns; ++column) {
        const uint4 x = xOf(column, block);
        float first[4] = {};
        float second[4] = {};
        float4 totals;
        if constexpr (Raw::hasZero) totals = totalsOf(column, block);
        if constexpr (Raw::hasZero && offsets != Offsets::floating) {
          first[0] = totals.x;
          first[1] = totals.y;
          first[2] = totals.z;
          first[3] = totals.w;
          if constexpr (offsets == Offsets::codes) {
#pragma unroll
            for (int i = 0; i < 4; ++i) first[i] *= i < 2 ? zeros.x : zeros.y;
          }
        }
        multiplyAdd(first, low.pair[0], high.pair[0], low.pair[2], high.pair[2], x.x, x.y, T());
        multiplyAdd(second, low.pair[1], high.pair[1], low.pair[3], high.pair[3], x.z, x.w, T());
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float part = first[i] + Raw::second * second[i];
          const float total = i % 2 == 0 ? totals.x : totals.y;
          // What is added is of the same size as what is scaled.
          if constexpr (offsets == Offsets::floating && Raw::zeroOf(0) != 0) part -= Raw::zeroOf(0) * total;
          sum[column][i] += (i < 2 ? scale.x : scale.y) * part;
          if constexpr (offsets == Offsets::floating) sum[column][i] += (i < 2 ? added.x : added.y) * total;
        }
      }
    }
  }

  // What a lane has of a tile's products with one row of x: of its two rows of the tile, in every fourth lane, and of
  // what is taken off, of blocks of its own.
  struct RowSum {
    float product[2];
    float offset[2];
  };
  // Adds a chunk: `total` is what x of this lane's block, the (lane % 4)-th, adds up to, times `totalScaling`.
  template <typename XOf>
  __device__ void addRow(RowSum& sum, const uint4* slot, const XOf& xOf, float total) const {
    const uint4 scales = slot[quantizedSlotScales(codes) + group_];
#pragma unroll
    for (int block = 0; block < quantizedChunkBlocks; ++block) {
      const uint4 unit = slot[block / Raw::blocks * 32 + lane_];
      const RawPairs low = Raw::decode(unit, block, 0);
      const RawPairs high = Raw::decode(unit, block, 1);
      const float2 scale = toFloats(wordOf(scales, block));
      const uint4 x = xOf(block);
      float first[4] = {};
      float second[4] = {};
      multiplyAdd(first, low.pair[0], high.pair[0], low.pair[2], high.pair[2], x.x, x.y, T());
      multiplyAdd(second, low.pair[1], high.pair[1], low.pair[3], high.pair[3], x.z, x.w, T());
      sum.product[0] += scale.x * (first[0] + Raw::second * second[0]);
      sum.product[1] += scale.y * (first[2] + Raw::second * second[2]);
    }
    if constexpr (Raw::hasZero) {
      const float2 scale = toFloats(reinterpret_cast<const std::uint32_t*>(slot + quantizedSlotScales(codes))[lane_]);
      float2 taken = scale;
      if constexpr (offsets == Offsets::codes) {
        const float2 zeros = zeroPoints(slot, group_ * blocks_ + (lane_ % 4 >> shift_));
        taken.x *= zeros.x;
        taken.y *= zeros.y;
      }
      if constexpr (offsets == Offsets::floating) {
        const float2 added =
            toFloats(reinterpret_cast<const std::uint32_t*>(slot + quantizedSlotOffsets(codes))[lane_]);
        taken.x = added.x - Raw::zeroOf(0) * scale.x;
        taken.y = added.y - Raw::zeroOf(0) * scale.y;
      }
      sum.offset[0] += taken.x * total;
      sum.offset[1] += taken.y * total;
    }
  }
  // Of the first of every four lanes.
  __device__ static float2 sumOf(const RowSum& sum) {
    float2 all = make_float2(sum.offset[0], sum.offset[1]);
#pragma unroll
    for (int distance = 1; distance < 4; distance *= 2) {
      all.x += __shfl_xor_sync(0xFFFFFFFF, all.x, distance);
      all.y += __shfl_xor_sync(0xFFFFFFFF, all.y, distance);
    }
    return make_float2(sum.product[0] + all.x, sum.product[1] + all.y);
  }

  // Words of eight elements of x as add() takes them.
  __device__ static uint4 placed(const uint4& x) {
    return make_uint4(x.x, x.z, x.y, x.w);
  }

  // Of what totalsOf() gives, and what sums are to be multiplied with in the end.
  static constexpr float totalScaling = (offsets == Offsets::floating ? 1 : -1) * RawCodes<T, codes>::unit *
                                        (offsets == Offsets::middle ? RawCodes<T, codes>::zeroOf(middleOf(codes)) : 1);
  static constexpr float scaling = 1 / RawCodes<T, codes>::unit / quantizedScaling;

 private:
  using Raw = RawCodes<T, codes>;

  static constexpr int chunkVectors = codeBytes / 16;

  __device__ std::uint32_t tileVectors() const {
    return static_cast<std::uint32_t>(p.layout.units) * 32;
  }
  __device__ std::uint32_t tileWords() const {
    return static_cast<std::uint32_t>(p.layout.blocks) * 8;
  }
  __device__ std::uint32_t chunkWords() const {
    return p.format.block == 0 ? 0 : 8 * blocks_;
  }

  __device__ static std::uint32_t wordOf(const uint4& v, int block) {
    return block == 0 ? v.x : block == 1 ? v.y : block == 2 ? v.z : v.w;
  }
  // Whether integer offsets are of four bits.
  __device__ bool halves() const {
    return codes == CodeType::uint4 && shift_ == 0;
  }

  // Of both of this lane's rows, the `at`-th of the slot's: what totals are multiplied with.
  __device__ float2 zeroPoints(const uint4* slot, int at) const {
    // Both are in one byte, or in two that follow each other.
    const bool one = halves();
    const auto* const first =
        reinterpret_cast<const unsigned char*>(slot + quantizedSlotOffsets(codes)) + at * (one ? 1 : 2);
    return make_float2(Raw::zeroOf(static_cast<float>(first[0] & (one ? 15 : 255))),
                       Raw::zeroOf(static_cast<float>(first[one ? 0 : 1] >> (one ? 4 : 0))));
  }

  const QuantizedLinearParameters& p;
  const int lane_ = threadIdx.x % 32;
  const int group_ = threadIdx.x % 32 / 4;
  // 32 elements to blocks, and blocks of a chunk.
  const int shift_;
  const int blocks_;
};

}  // namespace tensorrt_node::kernels
