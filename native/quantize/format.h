// What a quantised matrix looks like in a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "numbers.h"

namespace tensorrt_node::quantize {

enum class CodeKind {
  // Unsigned codes in blocks along a row, as MatMulNBits: (code - 2^(bits-1)) * scale.
  symmetric,
  // The same with a code of each block's own for zero: (code - zeroPoint) * scale.
  zeroPoints,
  // int8 with one scale a row, -127 to 127.
  int8Rows,
  // E4M3 with one scale a row.
  float8Rows,
};

struct Format {
  CodeKind kind = CodeKind::symmetric;
  // 4 or 8; 8 where rows have one scale.
  int bits = 4;
  // Elements that share a scale: 16 to 256, a power of two; where rows have one scale it counts nothing.
  std::int64_t block = 32;
  // Of the scales. Those in float32 are numbers that float16 holds times 2^-10, so that kernels which keep them so are
  // exact.
  FloatType scales = FloatType::float16;
  // Take the scale with the least squared error of a grid, not that of the largest value.
  bool search = true;

  bool wholeRows() const noexcept { return kind == CodeKind::int8Rows || kind == CodeKind::float8Rows; }
  std::int64_t blockOf(std::int64_t inner) const noexcept { return wholeRows() ? inner : block; }
  std::int64_t blocks(std::int64_t inner) const noexcept { return (inner + blockOf(inner) - 1) / blockOf(inner); }
  // Bytes of a row of codes; a row's last block is whole in MatMulNBits.
  std::size_t codeBytes(std::int64_t inner) const noexcept {
    return static_cast<std::size_t>(wholeRows() ? inner : blocks(inner) * block * bits / 8);
  }
  std::size_t scaleBytes(std::int64_t inner) const noexcept {
    return static_cast<std::size_t>(blocks(inner)) * bytesOf(scales);
  }
  std::size_t zeroPointBytes(std::int64_t inner) const noexcept {
    return kind == CodeKind::zeroPoints ? static_cast<std::size_t>((blocks(inner) * bits + 7) / 8) : 0;
  }
};

// Rows of it: as many bytes as the format says for each, one row after the other.
struct QuantizedRows {
  std::span<std::byte> codes;
  std::span<std::byte> scales;
  std::span<std::byte> zeroPoints;
};

}  // namespace tensorrt_node::quantize
