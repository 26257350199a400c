// From stored weights to rows of float32.
#include "matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

namespace tensorrt_node::quantize {
namespace {

template <typename Stored>
Stored loadAt(const std::byte* data, std::int64_t index) {
  Stored value;
  std::memcpy(&value, data + index * static_cast<std::int64_t>(sizeof(Stored)), sizeof(Stored));
  return value;
}

// Calls `use` with what loads an element of the type.
template <typename Use>
void withLoader(FloatType type, const std::byte* data, Use&& use) {
  switch (type) {
    case FloatType::float32:
      return use([data](std::int64_t index) { return loadAt<float>(data, index); });
    case FloatType::float16:
      return use([data](std::int64_t index) { return fromHalf(loadAt<std::uint16_t>(data, index)); });
    case FloatType::bfloat16:
      return use([data](std::int64_t index) { return fromBfloat(loadAt<std::uint16_t>(data, index)); });
  }
}

void require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

std::size_t product(std::int64_t a, std::int64_t b) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

}  // namespace

void checkSize(const DenseMatrix& matrix) {
  require(matrix.outer >= 0 && matrix.inner > 0, "a matrix needs elements");
  require(matrix.data.size() == product(matrix.outer, matrix.inner) * bytesOf(matrix.type),
          "a matrix has not the bytes that its shape needs");
}

void readRows(const DenseMatrix& matrix, std::int64_t first, std::int64_t count, float* rows) {
  const std::int64_t inner = matrix.inner;
  withLoader(matrix.type, matrix.data.data(), [&](auto load) {
    if (!matrix.transposed) {
      for (std::int64_t at = 0; at < count * inner; ++at) rows[at] = load(first * inner + at);
      return;
    }
    for (std::int64_t column = 0; column < inner; ++column)
      for (std::int64_t row = 0; row < count; ++row)
        rows[row * inner + column] = load(column * matrix.outer + first + row);
  });
}

void toFloats(const DenseMatrix& matrix, std::span<float> values, const Threads& threads) {
  checkSize(matrix);
  require(values.size() == product(matrix.outer, matrix.inner), "the floats of a matrix have another shape");
  parallelFor(threads, (matrix.outer + kRowsAtATime - 1) / kRowsAtATime, [&](std::int64_t chunk) {
    const std::int64_t first = chunk * kRowsAtATime;
    const std::int64_t count = std::min(kRowsAtATime, matrix.outer - first);
    float* const rows = values.data() + first * matrix.inner;
    readRows(matrix, first, count, rows);
    for (std::int64_t at = 0; at < count * matrix.inner; ++at)
      if (!std::isfinite(rows[at]))
        throw std::domain_error("row " + std::to_string(first + at / matrix.inner) +
                                " holds a number that is not finite");
  });
}

void toFloats(const BlockMatrix& matrix, std::span<float> values, const Threads& threads) {
  require(matrix.outer >= 0 && matrix.inner > 0 && matrix.block > 0 && (matrix.bits == 4 || matrix.bits == 8),
          "a matrix in blocks needs elements of 4 or 8 bits");
  const std::int64_t blocks = (matrix.inner + matrix.block - 1) / matrix.block;
  const std::int64_t rowBytes = blocks * matrix.block * matrix.bits / 8;
  const std::int64_t zeroBytes = (blocks * matrix.bits + 7) / 8;
  using ZeroPoints = BlockMatrix::ZeroPoints;
  const std::size_t zeroSize = matrix.zeroPointKind == ZeroPoints::none ? 0
                               : matrix.zeroPointKind == ZeroPoints::codes
                                   ? product(matrix.outer, zeroBytes)
                                   : product(matrix.outer, blocks) * bytesOf(matrix.zeroPointType);
  require(matrix.codes.size() == product(matrix.outer, rowBytes) &&
              matrix.scales.size() == product(matrix.outer, blocks) * bytesOf(matrix.scaleType) &&
              matrix.zeroPoints.size() == zeroSize && values.size() == product(matrix.outer, matrix.inner),
          "a matrix in blocks has not the bytes that its shape needs");

  const auto codeAt = [&](std::int64_t row, std::int64_t column) {
    const std::int64_t bit = column * matrix.bits;
    const auto byte = std::to_integer<std::uint32_t>(matrix.codes[static_cast<std::size_t>(row * rowBytes + bit / 8)]);
    return matrix.bits == 8 ? byte : byte >> (bit % 8) & 15U;
  };
  const auto packedZero = [&](std::int64_t row, std::int64_t block) {
    const std::int64_t bit = block * matrix.bits;
    const auto byte =
        std::to_integer<std::uint32_t>(matrix.zeroPoints[static_cast<std::size_t>(row * zeroBytes + bit / 8)]);
    return static_cast<float>(matrix.bits == 8 ? byte : byte >> (bit % 8) & 15U);
  };
  withLoader(matrix.scaleType, matrix.scales.data(), [&](auto scaleAt) {
    withLoader(matrix.zeroPointType, matrix.zeroPoints.data(), [&](auto floatZero) {
      const auto zeroOf = [&](std::int64_t row, std::int64_t block) {
        if (matrix.zeroPointKind == ZeroPoints::codes) return packedZero(row, block);
        if (matrix.zeroPointKind == ZeroPoints::floats) return floatZero(row * blocks + block);
        return static_cast<float>(1 << (matrix.bits - 1));
      };
      parallelFor(threads, matrix.outer, [&](std::int64_t row) {
        float* out = values.data() + row * matrix.inner;
        for (std::int64_t block = 0; block < blocks; ++block) {
          const float scale = scaleAt(row * blocks + block);
          const float zero = zeroOf(row, block);
          const std::int64_t end = std::min((block + 1) * matrix.block, matrix.inner);
          for (std::int64_t column = block * matrix.block; column < end; ++column)
            out[column] = (static_cast<float>(codeAt(row, column)) - zero) * scale;
        }
      });
    });
  });
}

}  // namespace tensorrt_node::quantize
