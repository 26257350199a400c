// Chunks of a few tiles of a packed weight, a warp's own, in shared memory, and their products with many rows of x.
#pragma once

#include "../geometry.h"
#include "../workspace.h"
#include "quantized.cuh"

namespace tensorrt_node::kernels {

template <typename T, CodeType codes, Offsets offsets>
class QuantizedTiles {
 public:
  // Of a tile.
  static constexpr int slotVectors = quantizedSlotVectors(codes, offsets);

  __device__ explicit QuantizedTiles(const QuantizedLinearParameters& parameters) : p(parameters) {}

  // Adds products of a chunk of tiles with `columns` tiles of rows of x: xOf(column, block) is this lane's vector of 32
  // elements.
  template <int columns, typename XOf>
  __device__ void add(float (&sum)[quantizedManyTiles][columns][4], const uint4* slots, int lane,
                      const XOf& xOf) const {
    const int blocks = p.layout.chunkBlocks;
#pragma unroll(weighs ? quantizedChunkBlocks : 1)
    for (unsigned block = 0; block < quantizedChunkBlocks; ++block) {
      const int scaled = lane / 4 * blocks + (block * blocks) / quantizedChunkBlocks;
      uint4 x[columns];
#pragma unroll
      for (int column = 0; column < columns; ++column) x[column] = xOf(column, block);
#pragma unroll
      for (int tile = 0; tile < quantizedManyTiles; tile += 2) {
        // Two, so that what is added to a sum does not have to wait for what was added before.
        const Decoded first(*this, slots + tile * slotVectors, block, scaled, lane);
        const Decoded second(*this, slots + (tile + 1) * slotVectors, block, scaled, lane);
        if constexpr (weighs) {
#pragma unroll
          for (int half = 0; half < 2; ++half)
#pragma unroll
            for (int column = 0; column < columns; ++column) {
              first.multiply(sum[tile][column], x[column], half);
              second.multiply(sum[tile + 1][column], x[column], half);
            }
        } else {
#pragma unroll
          for (int column = 0; column < columns; ++column) {
            first.addTo(sum[tile][column], x[column]);
            second.addTo(sum[tile + 1][column], x[column]);
          }
        }
      }
    }
  }

  // What sums are to be multiplied with in the end.
  static constexpr float scaling = Codes<T, codes>::scaling / quantizedScaling;

 private:
  using Decoder = Codes<T, codes>;

  // In half precision codes are multiplied with their scales, and rounded, before the tensor cores have them, as
  // matrices are that prompts are multiplied with. bfloat16 has too few bits for that: there sums are.
  static constexpr bool weighs = std::is_same_v<T, __half>;

  // 32 elements of rows g and g + 8.
  struct Decoded {
    Pairs low;
    Pairs high;
    // Of both rows, of what is not weighed yet.
    float2 scale;
    float2 offset;

    // `scaled`: which of a slot's scales.
    __device__ Decoded(const QuantizedTiles& of, const uint4* slot, int block, int scaled, int lane) {
      std::uint32_t words[2][2];
      wordsOf(words, slot, block, lane);
      const uint2 zeros = of.zeroPoints(slot, scaled);
      low = Decoder::decode(words[0], Decoder::offsetOf(zeros.x));
      high = Decoder::decode(words[1], Decoder::offsetOf(zeros.y));
      const std::uint32_t scales = reinterpret_cast<const std::uint32_t*>(slot + quantizedSlotScales(codes))[scaled];
      std::uint32_t more = 0;
      if constexpr (offsets == Offsets::floating)
        more = reinterpret_cast<const std::uint32_t*>(slot + quantizedSlotOffsets(codes))[scaled];
      if constexpr (weighs) {
        // As codes are, offsets are a part of what they say.
        if constexpr (offsets == Offsets::floating)
          more = multiplyAddPair(more, 0x28002800, 0x80008000, __half());
        else
          more = 0x80008000;
        weigh(low, scales, more, 0x1010);
        weigh(high, scales, more, 0x3232);
      } else {
        scale = toFloats(scales);
        offset = toFloats(more);
      }
    }

    // `which`: a row's of the pairs of scales and offsets, as __byte_perm() has it.
    __device__ static void weigh(Pairs& pairs, std::uint32_t scales, std::uint32_t more, unsigned which) {
      const std::uint32_t scale = __byte_perm(scales, 0, which);
      const std::uint32_t offset = offsets == Offsets::floating ? __byte_perm(more, 0, which) : more;
#pragma unroll
      for (std::uint32_t& pair : pairs.pair) pair = multiplyAddPair(pair, scale, offset, __half());
    }

    // Weighs their sum.
    __device__ void addTo(float (&sum)[4], const uint4& x) const {
      float part[4] = {};
      multiply(part, x, 0);
      multiply(part, x, 1);
      float total[4] = {};
      if constexpr (offsets == Offsets::floating) {
        constexpr std::uint32_t one = 0x3F803F80;
        multiplyAdd(total, one, one, one, one, x.x, x.y, T());
        multiplyAdd(total, one, one, one, one, x.z, x.w, T());
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        sum[j] += (j < 2 ? scale.x : scale.y) * part[j];
        if constexpr (offsets == Offsets::floating) sum[j] += (j < 2 ? offset.x : offset.y) * total[j];
      }
    }
    // Of a half of the elements.
    __device__ void multiply(float (&sum)[4], const uint4& x, int half) const {
      multiplyAdd(sum, low.pair[2 * half], high.pair[2 * half], low.pair[2 * half + 1], high.pair[2 * half + 1],
                  half == 0 ? x.x : x.z, half == 0 ? x.y : x.w, T());
    }
  };
  __device__ static void wordsOf(std::uint32_t (&words)[2][2], const uint4* slot, int block, int lane) {
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
