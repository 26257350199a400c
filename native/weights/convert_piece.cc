#include "convert_piece.h"

#include <algorithm>
#include <cstdint>

#include "../cuda/driver.h"
#include "../kernels/launch.h"
#include "packing.h"

namespace tensorrt_node::weights {

namespace {

void* pointer(CUdeviceptr address) noexcept {
  return reinterpret_cast<void*>(address);
}

// That `dequantize` makes floats of.
bool isPlainCodes(const Piece& piece) noexcept {
  return !piece.otherWay && (piece.codes == StoredCodes::uint4 || piece.codes == StoredCodes::uint8);
}

void clear(const cuda::Stream& stream, CUdeviceptr at, std::uint64_t bytes) {
  cuda::check(cuda::driver().cuMemsetD8Async(at, 0, static_cast<std::size_t>(bytes), stream.handle()),
              "cuMemsetD8Async", stream.name());
}

struct Target {
  void* packed;
  kernels::QuantizedFormat format;
  std::int64_t outer;
  std::int64_t firstRow;
};

void pack(const kernels::Kernels& kernels, const cuda::Stream& stream, const Matrix& matrix, const Piece& piece,
          const StoredPiece& stored, const Target& to) {
  const bool isSigned = piece.codes == StoredCodes::int4 || piece.codes == StoredCodes::int8;
  kernels::packQuantized(
      kernels, stream.handle(),
      {.codes = pointer(stored.values),
       .scales = pointer(stored.scales),
       .zeroPoints = stored.zeroPoints == 0 ? nullptr : pointer(stored.zeroPoints),
       .packed = to.packed,
       .outer = to.outer,
       .inner = matrix.columns,
       .firstRow = to.firstRow,
       .rows = piece.rows,
       .format = to.format,
       .block = piece.block == matrix.columns && to.format.block == 0 ? 0 : static_cast<std::int32_t>(piece.block),
       .zeroPoint = 0,
       .packedZeroPoints = piece.zeroPointType ? 0 : 1,
       .isSigned = isSigned ? 1 : 0,
       .transposed = piece.otherWay ? 1 : 0,
       .scaleType = piece.stored,
       .zeroPointType = piece.zeroPointType.value_or(piece.stored)});
}

void dequantize(const kernels::Kernels& kernels, const cuda::Stream& stream, const Matrix& matrix, const Piece& piece,
                const StoredPiece& stored, CUdeviceptr out) {
  kernels::dequantize(kernels, stream.handle(),
                      {.codes = static_cast<const std::uint8_t*>(pointer(stored.values)),
                       .scales = pointer(stored.scales),
                       .zeroPoints = stored.zeroPoints == 0 ? nullptr : pointer(stored.zeroPoints),
                       .out = pointer(out),
                       .rows = piece.rows,
                       .columns = matrix.columns,
                       .bits = codeBits(piece.codes),
                       .block = static_cast<std::int32_t>(piece.block),
                       .zeroPoint = 1 << (codeBits(piece.codes) - 1),
                       .packedZeroPoints = piece.zeroPointType ? 0 : 1,
                       .scaleType = piece.stored,
                       .zeroPointType = piece.zeroPointType.value_or(piece.stored),
                       .outType = matrix.type});
}

// Of forms that no other kernel reads.
void dequantizePacked(const kernels::Kernels& kernels, const cuda::Stream& stream, const Matrix& matrix,
                      const Piece& piece, const StoredPiece& stored, CUdeviceptr out) {
  const kernels::QuantizedFormat format = packedAlone(piece, matrix.columns);
  void* const packed = pointer(stored.passing);
  clear(stream, stored.passing, passingBytes(matrix, piece));
  pack(kernels, stream, matrix, piece, stored,
       {.packed = packed, .format = format, .outer = piece.rows, .firstRow = 0});
  kernels::unpackQuantized(
      kernels, stream.handle(), matrix.type,
      {.packed = packed, .out = pointer(out), .outer = piece.rows, .inner = matrix.columns, .format = format});
}

}  // namespace

bool readyAsStored(const Matrix& matrix, const Piece& piece) noexcept {
  return piece.form == Form::plain && piece.stored == matrix.type;
}

bool readyAsStored(const Matrix& matrix) noexcept {
  return std::ranges::all_of(matrix.pieces, [&](const Piece& piece) { return readyAsStored(matrix, piece); });
}

std::uint64_t passingBytes(const Matrix& matrix, const Piece& piece) noexcept {
  if (piece.form != Form::quantized || matrix.packed || isPlainCodes(piece)) return 0;
  return kernels::quantizedBytes(packedAlone(piece, matrix.columns), piece.rows, matrix.columns);
}

void clear(const cuda::Stream& stream, const Matrix& matrix, CUdeviceptr at) {
  clear(stream, at, matrix.bytes());
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
  } else if (matrix.packed) {
    pack(
        kernels, stream, matrix, piece, stored,
        {.packed = pointer(out), .format = *matrix.packed, .outer = matrix.rows(), .firstRow = matrix.firstRow(piece)});
  } else if (isPlainCodes(piece)) {
    dequantize(kernels, stream, matrix, piece, stored, out);
  } else {
    dequantizePacked(kernels, stream, matrix, piece, stored, out);
  }
}

}  // namespace tensorrt_node::weights
