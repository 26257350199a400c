// Weights as files hold them, read as rows of float32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "numbers.h"
#include "parallel.h"

namespace tensorrt_node::quantize {

// Rows of floats. Inner is the number that a product sums over, so a row makes one output.
struct DenseMatrix {
  std::span<const std::byte> data;
  FloatType type = FloatType::float32;
  std::int64_t outer = 0;
  std::int64_t inner = 0;
  // Stored as [inner, outer].
  bool transposed = false;
};

// What MatMulNBits takes.
struct BlockMatrix {
  std::span<const std::byte> codes;
  std::span<const std::byte> scales;
  FloatType scaleType = FloatType::float32;
  enum class ZeroPoints { none, codes, floats } zeroPointKind = ZeroPoints::none;
  std::span<const std::byte> zeroPoints;
  FloatType zeroPointType = FloatType::float32;
  std::int64_t outer = 0;
  std::int64_t inner = 0;
  int bits = 4;
  std::int64_t block = 32;
};

// Rows that are read at a time: of a matrix that lies the other way, as many as make reading it worth while.
inline constexpr std::int64_t kRowsAtATime = 96;

// Rows [first, first + count) to `rows`, which has room for count * inner.
void readRows(const DenseMatrix& matrix, std::int64_t first, std::int64_t count, float* rows);

// All rows, by threads. Throws std::invalid_argument where the bytes do not fit the shape, std::domain_error for floats
// that are not finite.
void toFloats(const DenseMatrix& matrix, std::span<float> values, const Threads& threads);
void toFloats(const BlockMatrix& matrix, std::span<float> values, const Threads& threads);

// Throws std::invalid_argument unless `bytes` are what the matrix needs.
void checkSize(const DenseMatrix& matrix);

}  // namespace tensorrt_node::quantize
