#include "convert_piece.h"

#include <algorithm>
#include <cstdint>

#include "../kernels/launch.h"

namespace tensorrt_node::weights {

namespace {

void* pointer(CUdeviceptr address) noexcept {
  return reinterpret_cast<void*>(address);
}

}  // namespace

bool readyAsStored(const Matrix& matrix, const Piece& piece) noexcept {
  return piece.form == Form::plain && piece.stored == matrix.type;
}

bool readyAsStored(const Matrix& matrix) noexcept {
  return std::ranges::all_of(matrix.pieces, [&](const Piece& piece) { return readyAsStored(matrix, piece); });
}

void convertPiece(const kernels::Kernels& kernels, const cuda::Stream& stream, const Matrix& matrix, const Piece& piece,
                  const StoredPiece& stored, CUdeviceptr out) {
  if (piece.form != Form::quantized) {
    kernels::convert(kernels, stream.handle(),
                     {.in = pointer(stored.values),
                      .out = pointer(out),
                      .rows = piece.rows,
                      .columns = matrix.columns,
                      .inType = piece.stored,
                      .outType = matrix.type,
                      .transposed = piece.form == Form::transposed ? 1 : 0});
    return;
  }
  kernels::dequantize(kernels, stream.handle(),
                      {.codes = static_cast<const std::uint8_t*>(pointer(stored.values)),
                       .scales = pointer(stored.scales),
                       .zeroPoints = stored.zeroPoints == 0 ? nullptr : pointer(stored.zeroPoints),
                       .out = pointer(out),
                       .rows = piece.rows,
                       .columns = matrix.columns,
                       .bits = piece.bits,
                       .block = piece.block,
                       .zeroPoint = piece.zeroPoint,
                       .packedZeroPoints = piece.zeroPointType ? 0 : 1,
                       .scaleType = piece.stored,
                       .zeroPointType = piece.zeroPointType.value_or(piece.stored),
                       .outType = matrix.type});
}

}  // namespace tensorrt_node::weights
