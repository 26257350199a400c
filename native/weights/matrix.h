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
  // Codes of 4 or 8 bits with a scale a block, as MatMulNBits and GatherBlockQuantized have them.
  quantized,
};

// A row or more of a matrix.
struct Piece {
  Form form = Form::plain;
  Source values;
  kernels::ElementType stored = kernels::ElementType::float16;
  // As wanted: rows below those of the pieces before it.
  std::int64_t rows = 0;

  // Of quantized pieces: `stored` is of the scales, and blocks do not cross rows.
  std::int32_t bits = 0;
  std::int32_t block = 0;
  Source scales;
  // Packed codes, or numbers of `zeroPointType`; 0 bytes long: `zeroPoint` everywhere.
  Source zeroPoints;
  std::optional<kernels::ElementType> zeroPointType;
  std::int32_t zeroPoint = 0;
};

// A dense row-major matrix, or a vector of one row.
struct Matrix {
  std::string name;
  kernels::ElementType type = kernels::ElementType::float16;
  std::int64_t columns = 0;
  std::vector<Piece> pieces;

  std::int64_t rows() const noexcept;
  std::uint64_t bytes() const noexcept;
};

std::uint64_t elementBytes(kernels::ElementType type) noexcept;

}  // namespace tensorrt_node::weights
