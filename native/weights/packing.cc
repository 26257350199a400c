#include "packing.h"

namespace tensorrt_node::weights {

namespace {

kernels::CodeType codesOf(const Piece& piece) noexcept {
  if (piece.codes == StoredCodes::float8) return kernels::CodeType::float8;
  return codeBits(piece.codes) == 4 ? kernels::CodeType::uint4 : kernels::CodeType::uint8;
}

kernels::Offsets offsetsOf(const Piece& piece) noexcept {
  if (piece.zeroPoints.bytes == 0) return kernels::Offsets::middle;
  return piece.zeroPointType ? kernels::Offsets::floating : kernels::Offsets::codes;
}

// A row with one scale stays one block, of bytes; other blocks are taken as several that have the same scale.
std::int32_t blockOf(const Piece& piece, std::int64_t columns) noexcept {
  if (codeBits(piece.codes) == 8 && piece.block == columns) return 0;
  for (const std::int32_t block : {128, 64})
    if (piece.block % block == 0) return block;
  return 32;
}

}  // namespace

kernels::QuantizedFormat packedAlone(const Piece& piece, std::int64_t columns) noexcept {
  return {.codes = codesOf(piece), .offsets = offsetsOf(piece), .block = blockOf(piece, columns), .gated = 0};
}

bool packsInto(const Piece& piece, std::int64_t columns, const kernels::QuantizedFormat& format) noexcept {
  if (piece.otherWay && codeBits(piece.codes) == 4) return false;
  if (codesOf(piece) != format.codes || offsetsOf(piece) != format.offsets) return false;
  return format.block == 0 ? piece.block == columns : piece.block % format.block == 0;
}

}  // namespace tensorrt_node::weights
