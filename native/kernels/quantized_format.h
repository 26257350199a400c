// Weights of 8 and 4 bits as the kernels read them: what a packed matrix holds and where. Plain C++, for host and
// device.
//
// A matrix [outer, inner] is cut into tiles of 16 rows, and a tile into units of 512 bytes: each of a warp's lanes has
// 16 bytes of a unit, which are what it needs for the tensor cores. First come the units of all tiles, then scales,
// then offsets: by tile, by chunk of the inner dimension, and by row of the tile, those of all blocks of a chunk being
// side by side, and those of row i of a tile beside those of row i + 8.
#pragma once

#include <cstdint>

namespace tensorrt_node::kernels {

// float8: E4M3.
enum class CodeType : std::int32_t { uint4, uint8, float8 };

// What is taken off a code: 2^(bits - 1), nothing for float8; an integer of as many bits as the code; any number.
enum class Offsets : std::int32_t { middle, codes, floating };

struct QuantizedFormat {
  CodeType codes;
  Offsets offsets;
  std::int32_t block;  // 32, 64, 128: codes of a row with a scale of their own; 0: a whole row has one
  std::int32_t gated;  // rows are gates, then as many ups: a tile has eight of each
};

constexpr int quantizedTile = 16;
// Elements of the inner dimension that have their scales together.
constexpr int quantizedChunk = 128;
constexpr int quantizedUnitBytes = 512;
// Scales and floating offsets are kept in half precision times this, so that small ones keep their bits.
constexpr float quantizedScaling = 1024;

constexpr int quantizedBits(CodeType codes) {
  return codes == CodeType::uint4 ? 4 : 8;
}
// Elements of each row of a tile that a unit has.
constexpr int quantizedUnit(CodeType codes) {
  return quantizedUnitBytes * 8 / quantizedBits(codes) / quantizedTile;
}
// Of an integer offset.
constexpr int quantizedOffsetBits(const QuantizedFormat& format) {
  return format.codes == CodeType::uint4 && format.block == 32 ? 4 : 8;
}

// Where a row of a matrix is.
struct QuantizedRow {
  std::int64_t tile;
  std::int32_t row;
};

// The block of a row that an element is in.
constexpr std::int64_t quantizedBlock(const QuantizedFormat& format, std::int64_t inner) {
  return format.block == 0 ? 0 : inner >> (format.block == 32 ? 5 : format.block == 64 ? 6 : 7);
}

// That have scales of their own; 1 where a whole row has one. No division, which device code would do for each chunk.
constexpr int quantizedBlocksOfChunk(const QuantizedFormat& format) {
  static_assert(quantizedChunk == 128);
  return format.block == 32 ? 4 : format.block == 64 ? 2 : 1;
}

// Sizes of a packed matrix, and where its parts begin, in bytes.
struct QuantizedLayout {
  std::int64_t tiles;
  std::int64_t units;        // of a tile
  std::int64_t blocks;       // of a row, in whole chunks
  std::int32_t chunkBlocks;  // of a chunk
  // Of a block of a tile.
  std::int32_t scaleBytes;
  std::int32_t offsetBytes;
  // Of a tile, in whole vectors of 16.
  std::int64_t tileOffsetBytes;
  std::uint64_t scales;
  std::uint64_t offsets;
  std::uint64_t bytes;
};

constexpr std::uint64_t quantizedAligned(std::uint64_t bytes) {
  return (bytes + 255) / 256 * 256;
}

constexpr QuantizedLayout quantizedLayout(const QuantizedFormat& format, std::int64_t outer, std::int64_t inner) {
  QuantizedLayout layout{};
  const std::int64_t rows = format.gated != 0 ? outer / 2 : outer;
  const std::int64_t tileRows = format.gated != 0 ? quantizedTile / 2 : quantizedTile;
  const std::int64_t unit = quantizedUnit(format.codes);
  static_assert(quantizedUnit(CodeType::uint4) == 64 && quantizedUnit(CodeType::uint8) == 32);
  layout.tiles = (rows + tileRows - 1) / tileRows;
  layout.units = (inner + unit - 1) / unit;
  layout.chunkBlocks = quantizedBlocksOfChunk(format);
  layout.blocks =
      format.block == 0 ? 1 : (inner + quantizedChunk - 1) / quantizedChunk * quantizedBlocksOfChunk(format);
  layout.scaleBytes = quantizedTile * 2;
  layout.offsetBytes = format.offsets == Offsets::middle     ? 0
                       : format.offsets == Offsets::floating ? quantizedTile * 2
                                                             : quantizedTile * quantizedOffsetBits(format) / 8;
  layout.tileOffsetBytes = (layout.blocks * layout.offsetBytes + 15) / 16 * 16;
  layout.scales = quantizedAligned(static_cast<std::uint64_t>(layout.tiles * layout.units) * quantizedUnitBytes);
  layout.offsets =
      layout.scales + quantizedAligned(static_cast<std::uint64_t>(layout.tiles * layout.blocks * layout.scaleBytes));
  layout.bytes = layout.offsets + quantizedAligned(static_cast<std::uint64_t>(layout.tiles * layout.tileOffsetBytes));
  return layout;
}

// Bytes of a matrix [outer, inner] as the kernels read it; a multiple of 256. Within 3 % of what files hold, for
// matrices of more than a few tiles.
constexpr std::uint64_t quantizedBytes(const QuantizedFormat& format, std::int64_t outer, std::int64_t inner) {
  return quantizedLayout(format, outer, inner).bytes;
}

// Whether kernels were made for such a matrix.
constexpr bool servesQuantized(const QuantizedFormat& format, std::int64_t outer, std::int64_t inner) noexcept {
  if (outer <= 0 || inner <= 0 || outer > 0x7FFFFFFF || inner > 0x7FFFFFFF) return false;
  if (format.gated != 0 && outer % 2 != 0) return false;
  // Rows of x that are not whole vectors must fit into shared memory.
  if (inner % 8 != 0 && inner > 8192) return false;
  const bool inBlocks = format.block == 32 || format.block == 64 || format.block == 128;
  switch (format.codes) {
    case CodeType::uint4:
      return inBlocks;
    case CodeType::uint8:
      return inBlocks || format.block == 0;
    default:
      return format.block == 0 && format.offsets == Offsets::middle;
  }
}

constexpr QuantizedRow quantizedRow(const QuantizedFormat& format, std::int64_t outer, std::int64_t row) {
  if (format.gated == 0) return {row / quantizedTile, static_cast<std::int32_t>(row % quantizedTile)};
  const std::int64_t half = outer / 2;
  const std::int64_t in = row < half ? row : row - half;
  return {in / 8, static_cast<std::int32_t>(in % 8 + (row < half ? 0 : 8))};
}

// Where the scale or offset of a row's block is among its tile's.
constexpr std::int64_t quantizedScalePlace(const QuantizedFormat& format, int row, std::int64_t block) {
  const int blocks = quantizedBlocksOfChunk(format);
  return ((block / blocks * 8 + row % 8) * blocks + block % blocks) * 2 + row / 8;
}

// Where a code of a tile is: in which byte from the tile's first unit on, and, of four bits, whether in the high ones.
// A lane's bytes are of rows g and g + 8, g being a fourth of the lane; of each, eight codes that follow each other for
// each 32: even ones come first, so that a shift and a mask make a pair of neighbours.
struct QuantizedCodePlace {
  std::int64_t byte;
  std::int32_t shift;
};
constexpr QuantizedCodePlace quantizedCodePlace(CodeType codes, int row, std::int64_t inner) {
  // Shifts instead of divisions, for device code.
  const int shift = codes == CodeType::uint4 ? 6 : 5;
  const int at = static_cast<int>(inner & ((1 << shift) - 1));
  const int lane = row % 8 * 4 + at % 32 / 8;
  const int code = at % 8;
  const std::int64_t begin = (inner >> shift) * quantizedUnitBytes + lane * 16;
  if (codes == CodeType::uint4) {
    const int nibble = code / 2 + code % 2 * 4;
    return {begin + at / 32 * 8 + row / 8 * 4 + nibble / 2, nibble % 2 * 4};
  }
  // Bytes of a word: the even codes of two pairs, then the odd ones.
  const int byte = code / 4 * 4 + code % 4 / 2 + code % 2 * 2;
  return {begin + row / 8 * 8 + byte, 0};
}

}  // namespace tensorrt_node::kernels
