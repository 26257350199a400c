// Symmetric products and factors, in blocks.
#include "hessian.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "product.h"

namespace tensorrt_node::quantize {
namespace {

// Rows and columns of a factor that are found before the rest is updated.
constexpr std::int64_t kPanel = 128;
// Of the result, what a thread computes at a time.
constexpr std::int64_t kTile = 256;

void checkSize(std::size_t elements, std::int64_t size) {
  if (size <= 0 || elements != static_cast<std::size_t>(size) * static_cast<std::size_t>(size))
    throw std::invalid_argument("a Hessian is square");
}

// result[size, size] += sign * a * b, its upper triangle alone (in whole tiles).
void addUpper(float* result, std::int64_t stride, std::int64_t size, MatrixView a, MatrixView b, std::int64_t depth,
              float sign, const Threads& threads) {
  const std::int64_t tiles = (size + kTile - 1) / kTile;
  parallelFor(threads, tiles * (tiles + 1) / 2, [&](std::int64_t item) {
    std::int64_t row = 0;
    while (item >= tiles - row) item -= tiles - row++;
    const std::int64_t column = row + item;
    thread_local Multiplier multiplier;
    const std::int64_t i = row * kTile;
    const std::int64_t j = column * kTile;
    multiplier.addProduct(result + i * stride + j, stride, a.at(i, 0), b.at(0, j), std::min(kTile, size - i),
                          std::min(kTile, size - j), depth, sign);
  });
}

// The factor of the block on the diagonal, in place, in double.
void factorizeBlock(float* block, std::int64_t stride, std::int64_t size) {
  std::vector<double> v(static_cast<std::size_t>(size * size));
  const auto at = [&](std::int64_t row, std::int64_t column) -> double& {
    return v[static_cast<std::size_t>(row * size + column)];
  };
  for (std::int64_t column = size - 1; column >= 0; --column) {
    for (std::int64_t row = column; row >= 0; --row) {
      double sum = static_cast<double>(block[row * stride + column]);
      for (std::int64_t k = column + 1; k < size; ++k) sum -= at(row, k) * at(column, k);
      if (row == column) {
        if (!(sum > 0) || !std::isfinite(sum)) throw std::domain_error("has a Hessian that is not positive definite");
        at(row, row) = std::sqrt(sum);
      } else {
        at(row, column) = sum / at(column, column);
      }
    }
  }
  for (std::int64_t row = 0; row < size; ++row)
    for (std::int64_t column = row; column < size; ++column)
      block[row * stride + column] = static_cast<float>(at(row, column));
}

// Rows of `above` become x with x * V^T = above, for the factor V of a block on the diagonal.
void solveRow(float* above, const float* factor, std::int64_t stride, std::int64_t size) {
  for (std::int64_t column = size - 1; column >= 0; --column) {
    const float* const line = factor + column * stride;
    float sum = above[column];
    for (std::int64_t k = column + 1; k < size; ++k) sum -= above[k] * line[k];
    above[column] = sum / line[column];
  }
}

}  // namespace

void addGram(std::span<float> hessian, std::int64_t size, std::span<const float> rows, const Threads& threads) {
  checkSize(hessian.size(), size);
  const auto count = static_cast<std::int64_t>(rows.size()) / size;
  if (static_cast<std::size_t>(count * size) != rows.size()) throw std::invalid_argument("rows have another size");
  for (const float value : rows)
    if (!(std::fabs(value) <= std::numeric_limits<float>::max()))
      throw std::domain_error("is given numbers that are not finite");
  const MatrixView view{rows.data(), size, 1};
  addUpper(hessian.data(), size, size, view.transposed(), view, count, 1, threads);
}

void mirror(std::span<float> hessian, std::int64_t size) {
  checkSize(hessian.size(), size);
  float* const data = hessian.data();
  for (std::int64_t row = 0; row < size; ++row)
    for (std::int64_t column = 0; column < row; ++column) data[row * size + column] = data[column * size + row];
}

void factorize(std::span<float> hessian, std::int64_t size, float damping, const Threads& threads) {
  checkSize(hessian.size(), size);
  float* const data = hessian.data();
  for (std::int64_t each = 0; each < size; ++each) data[each * size + each] += damping;
  const std::int64_t last = (size - 1) / kPanel * kPanel;
  for (std::int64_t first = last; first >= 0; first -= kPanel) {
    const std::int64_t width = std::min(kPanel, size - first);
    float* const diagonal = data + first * size + first;
    factorizeBlock(diagonal, size, width);
    constexpr std::int64_t kRowsAtOnce = 64;
    parallelFor(threads, (first + kRowsAtOnce - 1) / kRowsAtOnce, [&](std::int64_t chunk) {
      const std::int64_t end = std::min(first, (chunk + 1) * kRowsAtOnce);
      for (std::int64_t row = chunk * kRowsAtOnce; row < end; ++row)
        solveRow(data + row * size + first, diagonal, size, width);
    });
    const MatrixView panel{data + first, size, 1};
    addUpper(data, size, first, panel, panel.transposed(), width, -1, threads);
  }
  for (std::int64_t row = 1; row < size; ++row) std::fill_n(data + row * size, row, 0.0F);
}

}  // namespace tensorrt_node::quantize
