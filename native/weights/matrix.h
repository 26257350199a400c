// How the matrices that engines take as inputs are made of what model files hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../kernels/parameters.h"

namespace tensorrt_node::weights {

// Bytes of a file, or bytes at hand.
struct Source {
  std::string path;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  // Instead of a file.
  std::shared_ptr<const std::vector<std::byte>> inlined;
};

enum class Form : std::uint8_t {
  // Elements as they are wanted.
  plain,
  // [columns, rows] in the source, as ONNX's MatMul has its weight.
  transposed,
  // Codes of 4 or 8 bits with a scale a block, as MatMulNBits, GatherBlockQuantized and DequantizeLinear have them.
  quantized,
};

// Codes as files hold them: int4 and int8 are two's complement, float8 is E4M3.
enum class StoredCodes : std::uint8_t { uint4, int4, uint8, int8, float8 };

// A row or more of a matrix.
struct Piece {
  Form form = Form::plain;
  Source values;
  kernels::ElementType stored = kernels::ElementType::float16;
  // As wanted: rows below those of the pieces before it.
  std::int64_t rows = 0;

  // Of quantized pieces: `stored` is of the scales, and blocks do not cross rows.
  StoredCodes codes = StoredCodes::uint4;
  // Columns that share a scale; a row's last block may have fewer, and is stored whole.
  std::int64_t block = 0;
  // Codes as [columns, rows]; scales and zero points as [blocks, rows], these a byte each where they are codes.
  bool otherWay = false;
  Source scales;
  // Packed codes, or numbers of `zeroPointType`; 0 bytes long: the middle of the codes everywhere.
  Source zeroPoints;
  std::optional<kernels::ElementType> zeroPointType;
};

// A row-major matrix, or a vector of one row; dense, or packed for kernels that take it quantized.
struct Matrix {
  std::string name;
  // Of its elements, those of a packed one too once they are unpacked.
  kernels::ElementType type = kernels::ElementType::float16;
  std::int64_t columns = 0;
  std::vector<Piece> pieces;
  // Then all pieces are quantized, and can be packed so.
  std::optional<kernels::QuantizedFormat> packed{};

  std::int64_t rows() const noexcept;
  std::uint64_t bytes() const noexcept;
  // The row of the matrix that one of its pieces begins with, and where that is.
  std::int64_t firstRow(const Piece& piece) const noexcept;
  std::uint64_t offset(const Piece& piece) const noexcept;
};

std::uint64_t elementBytes(kernels::ElementType type) noexcept;
int codeBits(StoredCodes codes) noexcept;

// Throws std::invalid_argument, which names the matrix, where a source has another length than its piece needs, or a
// packed matrix has pieces that cannot be packed in its format: no kernel reads past the end of what it is given.
void check(const Matrix& matrix);

}  // namespace tensorrt_node::weights
