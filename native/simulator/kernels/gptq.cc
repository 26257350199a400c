// References: what GPTQ computes, step by step as its kernels do, sums in double precision.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "element.h"
#include "kernels/gptq_geometry.h"
#include "quantize/scale.h"
#include "references.h"

namespace simulator::kernels {

namespace quantize = tensorrt_node::quantize;

namespace {

std::size_t at(std::int64_t row, std::int64_t column, std::int64_t stride) {
  return static_cast<std::size_t>(row * stride + column);
}
// Of a matrix of rows of `stride`, of the last of which `width` count.
std::size_t bytesOf(std::int64_t rows, std::int64_t stride, std::int64_t width) {
  return rows == 0 ? 0 : at(rows - 1, width, stride) * sizeof(float);
}

}  // namespace

void matrixProduct(const MatrixProductParameters& p) {
  for (std::int32_t i = 0; i < p.m; ++i)
    for (std::int32_t j = 0; j < (p.lower != 0 ? std::min(i + 1, p.n) : p.n); ++j) {
      double sum = 0;
      for (std::int32_t k = 0; k < p.k; ++k)
        sum += static_cast<double>(p.a[p.aTransposed != 0 ? at(k, i, p.aStride) : at(i, k, p.aStride)]) *
               static_cast<double>(p.b[p.bTransposed != 0 ? at(j, k, p.bStride) : at(k, j, p.bStride)]);
      float& to = p.c[at(i, j, p.cStride)];
      to = (p.keep == 0 ? 0 : p.keep * to) + p.factor * static_cast<float>(sum);
    }
}

std::vector<Touch> touches(const MatrixProductParameters& p) {
  return {reads(p.a, p.aTransposed != 0 ? bytesOf(p.k, p.aStride, p.m) : bytesOf(p.m, p.aStride, p.k)),
          reads(p.b, p.bTransposed != 0 ? bytesOf(p.n, p.bStride, p.k) : bytesOf(p.k, p.bStride, p.n)),
          writes(p.c, bytesOf(p.m, p.cStride, p.n))};
}

void reverseHessian(const ReverseHessianParameters& p) {
  const std::int32_t last = p.size - 1;
  const auto original = [&](std::int32_t place) { return p.order == nullptr ? place : p.order[place]; };
  for (std::int32_t row = 0; row < p.size; ++row)
    for (std::int32_t column = 0; column <= row; ++column) {
      const auto [least, most] = std::minmax({original(last - row), original(last - column)});
      p.reversed[at(row, column, p.size)] = p.hessian[at(most, least, p.size)] + (row == column ? p.damping : 0);
    }
}

std::vector<Touch> touches(const ReverseHessianParameters& p) {
  std::vector<Touch> all{reads(p.hessian, bytesOf(p.size, p.size, p.size)),
                         writes(p.reversed, bytesOf(p.size, p.size, p.size))};
  if (p.order != nullptr) all.push_back(reads(p.order, at(1, 0, p.size) * sizeof(std::int32_t)));
  return all;
}

void choleskyDiagonal(const CholeskyParameters& p) {
  float* const square = p.matrix + at(p.first, p.first, p.size);
  for (std::int32_t column = 0; column < p.width; ++column)
    for (std::int32_t row = column; row < p.width; ++row) {
      auto sum = static_cast<double>(square[at(row, column, p.size)]);
      for (std::int32_t before = 0; before < column; ++before)
        sum -= static_cast<double>(square[at(row, before, p.size)]) *
               static_cast<double>(square[at(column, before, p.size)]);
      if (row == column && !(sum > 0)) {
        ++*p.failures;
        sum = 1;
      }
      square[at(row, column, p.size)] = static_cast<float>(
          row == column ? std::sqrt(sum) : sum / static_cast<double>(square[at(column, column, p.size)]));
    }
}

void choleskyBelow(const CholeskyParameters& p) {
  for (std::int32_t row = p.first + p.width; row < p.size; ++row)
    for (std::int32_t column = p.first; column < p.first + p.width; ++column) {
      auto sum = static_cast<double>(p.matrix[at(row, column, p.size)]);
      for (std::int32_t before = p.first; before < column; ++before)
        sum -= static_cast<double>(p.matrix[at(row, before, p.size)]) *
               static_cast<double>(p.matrix[at(column, before, p.size)]);
      p.matrix[at(row, column, p.size)] =
          static_cast<float>(sum / static_cast<double>(p.matrix[at(column, column, p.size)]));
    }
}

std::vector<Touch> touches(const CholeskyParameters& p) {
  return {writes(p.matrix + at(p.first, p.first, p.size),
                 bytesOf(p.size - p.first, p.size, std::min(p.width, p.size - p.first)))};
}

void unitUpper(const UnitUpperParameters& p) {
  const std::int32_t last = p.size - 1;
  const auto factor = [&](std::int32_t row, std::int32_t column) {
    return p.factor[at(last - row, last - column, p.size)];
  };
  for (std::int32_t row = 0; row < p.size; ++row) {
    p.diagonal[row] = factor(row, row) * factor(row, row);
    for (std::int32_t column = row + 1; column < p.size; ++column)
      p.upper[at(row, column, p.size)] = factor(row, column) / factor(column, column);
  }
}

std::vector<Touch> touches(const UnitUpperParameters& p) {
  const std::size_t bytes = bytesOf(p.size, p.size, p.size);
  return {reads(p.factor, bytes), writes(p.upper, bytes), writes(p.diagonal, at(1, 0, p.size) * sizeof(float))};
}

namespace {

std::int64_t blocksOf(const GptqParameters& p) {
  return p.block == 0 ? 1 : (p.columns + p.block - 1) / p.block;
}

// What is lost in a column, of those after it.
void makeUp(const GptqParameters& p, std::vector<float>& values, std::int32_t column, float lost) {
  for (std::size_t after = static_cast<std::size_t>(column) + 1; after < values.size(); ++after)
    values[after] += lost * p.upper[at(p.first + column, p.first + static_cast<std::int64_t>(after), p.columns)];
}

quantize::Format formatOf(const GptqParameters& p) {
  constexpr quantize::CodeKind kinds[] = {quantize::CodeKind::symmetric, quantize::CodeKind::zeroPoints,
                                          quantize::CodeKind::int8Rows, quantize::CodeKind::float8Rows};
  return {.kind = kinds[static_cast<int>(p.kind)],
          .bits = p.bits,
          .block = p.block,
          .scales = p.scaling == 1 ? quantize::FloatType::float16 : quantize::FloatType::float32,
          .search = p.search != 0};
}

}  // namespace

void gptq(const GptqParameters& p) {
  const quantize::Format format = formatOf(p);
  quantize::ScaleChooser chooser(format);
  const std::int32_t width = std::min(gptqColumns, p.columns - p.first);
  for (std::int32_t row = 0; row < p.rows; ++row) {
    const float* const weights = p.weights + at(row, p.first, p.columns);
    const float* const targets = p.targets + at(row, p.first, p.columns);
    std::vector<float> wanted(targets, targets + width);
    float* const lost = p.lost + at(row, 0, gptqColumns);
    std::fill(lost, lost + gptqColumns, 0.0F);
    quantize::Scale scale{p.block == 0 ? p.scales[row] : 0, 0};
    for (std::int32_t column = 0; column < width; ++column) {
      if (p.block != 0 && column % p.block == 0) {
        const std::int32_t end = std::min(column + p.block, width);
        std::vector<float> best = wanted;
        for (std::int32_t i = column; i < end; ++i) makeUp(p, best, i, weights[i] - best[static_cast<std::size_t>(i)]);
        scale = chooser.choose({best.data() + column, best.data() + end},
                               {p.diagonal + p.first + column, p.diagonal + p.first + end});
        const std::size_t block = at(row, (p.first + column) / p.block, blocksOf(p));
        p.scales[block] = scale.value;
        if (p.zeroPoints != nullptr) p.zeroPoints[block] = static_cast<std::uint8_t>(scale.zero);
      }
      const std::uint8_t code = quantize::nearestCode(format, scale, wanted[static_cast<std::size_t>(column)]);
      p.codes[at(row, p.first + column, p.columns)] = code;
      lost[column] = weights[column] - quantize::valueOf(format, scale, code);
      makeUp(p, wanted, column, lost[column]);
    }
  }
}

std::vector<Touch> touches(const GptqParameters& p) {
  const std::size_t count = at(p.rows, 0, p.columns);
  const std::size_t blocks = at(p.rows, 0, blocksOf(p));
  std::vector<Touch> all{reads(p.weights, count * sizeof(float)),
                         reads(p.targets, count * sizeof(float)),
                         reads(p.upper, at(p.columns, 0, p.columns) * sizeof(float)),
                         reads(p.diagonal, at(1, 0, p.columns) * sizeof(float)),
                         writes(p.lost, at(p.rows, 0, gptqColumns) * sizeof(float)),
                         writes(p.codes, count)};
  all.push_back(p.block == 0 ? reads(p.scales, blocks * sizeof(float)) : writes(p.scales, blocks * sizeof(float)));
  if (p.zeroPoints != nullptr) all.push_back(writes(p.zeroPoints, blocks));
  return all;
}

}  // namespace simulator::kernels
