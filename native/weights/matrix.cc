#include "matrix.h"

#include <stdexcept>

#include "packing.h"

namespace tensorrt_node::weights {

namespace {

std::uint64_t product(std::int64_t a, std::int64_t b) noexcept {
  return static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b);
}

void require(bool condition, const Matrix& matrix, const char* what) {
  if (!condition) throw std::invalid_argument(matrix.name + ": " + what);
}

void checkQuantized(const Matrix& matrix, const Piece& piece) {
  require(piece.block > 0, matrix, "a block must hold codes");
  const std::int64_t blocks = (matrix.columns + piece.block - 1) / piece.block;
  const auto bits = static_cast<std::uint64_t>(codeBits(piece.codes));
  require(!piece.otherWay || blocks * piece.block == matrix.columns, matrix, "blocks that are not whole");
  require(piece.values.bytes == product(piece.rows, blocks * piece.block) * bits / 8, matrix,
          "codes of another length than its rows");
  require(piece.scales.bytes == product(piece.rows, blocks) * elementBytes(piece.stored), matrix,
          "scales of another length than its blocks");
  if (piece.zeroPoints.bytes == 0) return;
  const std::uint64_t perRow = piece.zeroPointType ? product(blocks, 1) * elementBytes(*piece.zeroPointType)
                               : piece.otherWay    ? product(blocks, 1)
                                                   : (product(blocks, 1) * bits + 7) / 8;
  require(piece.zeroPoints.bytes == product(piece.rows, 1) * perRow, matrix,
          "zero points of another length than its blocks");
}

}  // namespace

std::int64_t Matrix::rows() const noexcept {
  std::int64_t sum = 0;
  for (const Piece& piece : pieces) sum += piece.rows;
  return sum;
}

std::uint64_t Matrix::bytes() const noexcept {
  if (packed) return kernels::quantizedBytes(*packed, rows(), columns);
  return product(rows(), columns) * elementBytes(type);
}

std::int64_t Matrix::firstRow(const Piece& piece) const noexcept {
  std::int64_t row = 0;
  for (const Piece& each : pieces) {
    if (&each == &piece) break;
    row += each.rows;
  }
  return row;
}

std::uint64_t Matrix::offset(const Piece& piece) const noexcept {
  return product(firstRow(piece), columns) * elementBytes(type);
}

std::uint64_t elementBytes(kernels::ElementType type) noexcept {
  return type == kernels::ElementType::float32 ? 4 : 2;
}

int codeBits(StoredCodes codes) noexcept {
  return codes == StoredCodes::uint4 || codes == StoredCodes::int4 ? 4 : 8;
}

void check(const Matrix& matrix) {
  for (const Piece& piece : matrix.pieces) {
    if (piece.form == Form::quantized) {
      checkQuantized(matrix, piece);
    } else {
      require(piece.values.bytes == product(piece.rows, matrix.columns) * elementBytes(piece.stored), matrix,
              "elements of another length than its rows");
    }
  }
  if (!matrix.packed) return;
  require(kernels::servesQuantized(*matrix.packed, matrix.rows(), matrix.columns), matrix,
          "no kernel takes it quantized so");
  for (const Piece& piece : matrix.pieces)
    require(piece.form == Form::quantized && packsInto(piece, matrix.columns, *matrix.packed), matrix,
            "rows that are quantized in another way than it is packed");
}

}  // namespace tensorrt_node::weights
