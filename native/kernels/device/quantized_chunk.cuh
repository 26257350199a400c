// Chunks of a packed weight on their way through shared memory, a warp's own, and their products with x.
#pragma once

#include "../geometry.h"
#include "../workspace.h"
#include "quantized.cuh"

namespace tensorrt_node::kernels {

template <typename T, CodeType codes, Offsets offsets>
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
    const int half = lane_ % 2;
    const bool ofScales = lane_ < 8;
    if (ofScales || offsets == Offsets::floating) {
      mine_ = lane_ % 8 / 2;
      blockBytes_ = quantizedTile * 2;
      extra_ = half * 16;
    } else {
      // Two blocks or one in a vector.
      blockBytes_ = p.layout.offsetBytes;
      mine_ = blockBytes_ == 8 ? lane_ % 8 * 2 : lane_ % 8;
    }
    copies_ = lane_ < (offsets == Offsets::middle ? 8 : 16) && mine_ < max(quantizedChunkBlocks >> shift_, 1);
    from_ = static_cast<const char*>(p.linear.weight) + (ofScales ? p.layout.scales : p.layout.offsets) + extra_;
    tileBytes_ = ofScales ? p.layout.blocks * p.layout.scaleBytes : p.layout.tileOffsetBytes;
    to_ = ofScales ? quantizedSlotScales(codes) + lane_ : quantizedSlotOffsets(codes) + lane_ - 8;
  }

  // A chunk of a tile to shared memory; zeros for what does not exist.
  __device__ void copy(uint4* slot, int tile, int chunk) const {
    const int units = static_cast<int>(p.layout.units);
    const char* const from = static_cast<const char*>(p.linear.weight);
#pragma unroll
    for (int i = 0; i < quantizedChunkUnits(codes); ++i) {
      const int unit = chunk * quantizedChunkUnits(codes) + i;
      const bool has = unit < units;
      copyToShared(
          slot + i * 32 + lane_,
          has ? from + (static_cast<std::int64_t>(tile) * units + unit) * quantizedUnitBytes + lane_ * 16 : from, has);
    }
    if (!copies_) return;
    const int block = (chunk * quantizedChunkBlocks >> shift_) + mine_;
    const bool has = block < static_cast<int>(p.layout.blocks);
    copyToShared(slot + to_, has ? from_ + tile * tileBytes_ + block * blockBytes_ : from, has);
  }

  // Adds its products with `columns` tiles of rows of x: xOf(column, block) is this lane's vector of 32 elements.
  template <int columns, typename XOf>
  __device__ void add(float (&sum)[columns][4], const uint4* slot, const XOf& xOf) const {
    const auto* const scales = reinterpret_cast<const std::uint32_t*>(slot + quantizedSlotScales(codes)) + group_;
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
      const float2 scale = toFloats(scales[scaled * 8]);
      const uint2 zeros = zeroPoints(slot, scaled);
      const Pairs low = Decoder::decode(words[0], Decoder::offsetOf(zeros.x));
      const Pairs high = Decoder::decode(words[1], Decoder::offsetOf(zeros.y));
      float2 added;
      if constexpr (offsets == Offsets::floating)
        added =
            toFloats(reinterpret_cast<const std::uint32_t*>(slot + quantizedSlotOffsets(codes))[scaled * 8 + group_]);
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

  __device__ static std::uint32_t ones() {
    return std::is_same_v<T, __half> ? 0x3C003C00 : 0x3F803F80;
  }

  // Of both of this lane's rows.
  __device__ uint2 zeroPoints(const uint4* slot, int block) const {
    constexpr std::uint32_t fixed = fixedOffset<codes, offsets>;
    if constexpr (offsets != Offsets::codes) return make_uint2(fixed, fixed);
    const auto* const bytes = reinterpret_cast<const unsigned char*>(slot + quantizedSlotOffsets(codes));
    if (codes == CodeType::uint4 && shift_ == 0) {
      const std::uint32_t both = bytes[block * 8 + group_];
      return make_uint2(both & 15, both >> 4);
    }
    const std::uint32_t both = reinterpret_cast<const std::uint16_t*>(bytes)[block * 8 + group_];
    return make_uint2(both & 255, both >> 8);
  }

  const QuantizedLinearParameters& p;
  const int lane_ = threadIdx.x % 32;
  const int group_ = threadIdx.x % 32 / 4;
  // 32 elements to blocks.
  const int shift_;
  bool copies_;
  int mine_;
  int blockBytes_;
  int extra_ = 0;
  int to_;
  const char* from_;
  std::int64_t tileBytes_;
};

}  // namespace tensorrt_node::kernels
