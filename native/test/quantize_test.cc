// Rounding, and GPTQ against the dense algorithm of its paper in double precision.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "halves.h"
#include "quantize/gptq.h"
#include "quantize/hessian.h"
#include "quantize/matrix.h"
#include "quantize/product.h"
#include "quantize/round_to_nearest.h"
#include "quantize/scaled_columns.h"

using namespace tensorrt_node::quantize;

namespace {

constexpr Threads kThreads{3, nullptr};

std::vector<float> normals(std::size_t count, unsigned seed, float scale = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(count);
  for (float& each : values) each = normal(generator);
  return values;
}

DenseMatrix dense(const std::vector<float>& values, std::int64_t outer, std::int64_t inner, bool transposed = false) {
  return {std::as_bytes(std::span(values)), FloatType::float32, outer, inner, transposed};
}

// Room for rows, and what they stand for.
struct Rows {
  Rows(const Format& rowFormat, std::int64_t rowCount, std::int64_t width)
      : format(rowFormat),
        outer(rowCount),
        inner(width),
        codes(static_cast<std::size_t>(outer) * format.codeBytes(inner)),
        scales(static_cast<std::size_t>(outer) * format.scaleBytes(inner)),
        zeroPoints(static_cast<std::size_t>(outer) * format.zeroPointBytes(inner)) {}

  QuantizedRows room() { return {codes, scales, zeroPoints}; }
  std::vector<float> values() {
    std::vector<float> result(static_cast<std::size_t>(outer * inner));
    readRows(room(), format, outer, inner, result, kThreads);
    return result;
  }

  Format format;
  std::int64_t outer;
  std::int64_t inner;
  std::vector<std::byte> codes;
  std::vector<std::byte> scales;
  std::vector<std::byte> zeroPoints;
};

double squaredDistance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t each = 0; each < a.size(); ++each) {
    const double difference = static_cast<double>(a[each]) - static_cast<double>(b[each]);
    sum += difference * difference;
  }
  return sum;
}

std::vector<Format> formats() {
  std::vector<Format> all;
  for (const FloatType scales : {FloatType::float16, FloatType::float32}) {
    for (const std::int64_t block : {16, 32, 64, 128}) {
      for (const int bits : {4, 8}) {
        for (const CodeKind kind : {CodeKind::symmetric, CodeKind::zeroPoints})
          all.push_back({kind, bits, block, scales, true});
      }
    }
    all.push_back({CodeKind::int8Rows, 8, 0, scales, false});
    all.push_back({CodeKind::float8Rows, 8, 0, scales, false});
  }
  return all;
}

// The Cholesky factor U, upper, with U^T U = the inverse of `matrix`: what the paper's algorithm takes its steps from.
std::vector<double> inverseFactor(std::vector<double> matrix, std::size_t size) {
  std::vector<double> inverse(size * size);
  for (std::size_t each = 0; each < size; ++each) inverse[each * size + each] = 1;
  for (std::size_t pivot = 0; pivot < size; ++pivot) {
    const double by = matrix[pivot * size + pivot];
    for (std::size_t row = 0; row < size; ++row) {
      if (row == pivot) continue;
      const double factor = matrix[row * size + pivot] / by;
      for (std::size_t column = 0; column < size; ++column) {
        matrix[row * size + column] -= factor * matrix[pivot * size + column];
        inverse[row * size + column] -= factor * inverse[pivot * size + column];
      }
    }
  }
  for (std::size_t row = 0; row < size; ++row)
    for (std::size_t column = 0; column < size; ++column) inverse[row * size + column] /= matrix[row * size + row];
  std::vector<double> upper(size * size);
  for (std::size_t row = 0; row < size; ++row) {
    for (std::size_t column = row; column < size; ++column) {
      double sum = inverse[row * size + column];
      for (std::size_t k = 0; k < row; ++k) sum -= upper[k * size + row] * upper[k * size + column];
      upper[row * size + column] = row == column ? std::sqrt(sum) : sum / upper[row * size + row];
    }
  }
  return upper;
}

// Algorithm 1 of Frantar et al. with blocks' scales taken from the weights as they are by then, all in double.
std::vector<float> paperGptq(const std::vector<float>& weights, const std::vector<double>& hessian, std::int64_t outer,
                             std::int64_t inner, const Format& format, const std::vector<std::int32_t>& order) {
  const auto size = static_cast<std::size_t>(inner);
  const std::vector<double> upper = inverseFactor(hessian, size);
  std::vector<float> rounded(weights.size());
  ScaleChooser chooser(format);
  for (std::int64_t row = 0; row < outer; ++row) {
    std::vector<double> left;
    for (const std::int32_t column : order)
      left.push_back(static_cast<double>(weights[static_cast<std::size_t>(row * inner + column)]));
    Scale scale;
    for (std::size_t column = 0; column < size; ++column) {
      if (column % static_cast<std::size_t>(format.block) == 0) {
        const std::size_t end = std::min(size, column + static_cast<std::size_t>(format.block));
        std::vector<float> block(left.begin() + static_cast<std::ptrdiff_t>(column),
                                 left.begin() + static_cast<std::ptrdiff_t>(end));
        scale = chooser.choose(block);
      }
      const float code = valueOf(format, scale, nearestCode(format, scale, static_cast<float>(left[column])));
      rounded[static_cast<std::size_t>(row * inner + order[column])] = code;
      const double error = (left[column] - static_cast<double>(code)) / upper[column * size + column];
      for (std::size_t later = column; later < size; ++later) left[later] -= error * upper[column * size + later];
    }
  }
  return rounded;
}

struct Problem {
  Problem(std::int64_t rows, std::int64_t width, unsigned seed)
      : outer(rows), inner(width), weights(normals(static_cast<std::size_t>(rows * width), seed, 0.05F)) {
    const auto size = static_cast<std::size_t>(width);
    const std::size_t count = 2 * size;
    std::vector<float> inputs = normals(count * size, seed + 1);
    // Columns that have to do with one another, of unequal size.
    for (std::size_t row = 0; row < count; ++row)
      for (std::size_t column = 1; column < size; ++column)
        inputs[row * size + column] =
            0.7F * inputs[row * size + column - 1] + inputs[row * size + column] * (1 + static_cast<float>(column % 7));
    hessian.assign(size * size, 0);
    addGram(hessian, inner, inputs, kThreads);
    mirror(hessian, inner);
    double mean = 0;
    for (std::size_t each = 0; each < size; ++each) mean += static_cast<double>(hessian[each * size + each]);
    damping = static_cast<float>(0.01 * mean / static_cast<double>(inner));
  }

  double error(const std::vector<float>& rounded) const {
    double sum = 0;
    const auto size = static_cast<std::size_t>(inner);
    for (std::size_t row = 0; row < static_cast<std::size_t>(outer); ++row) {
      for (std::size_t a = 0; a < size; ++a) {
        const double left = static_cast<double>(weights[row * size + a]) - static_cast<double>(rounded[row * size + a]);
        for (std::size_t b = 0; b < size; ++b)
          sum += left * static_cast<double>(hessian[a * size + b]) *
                 (static_cast<double>(weights[row * size + b]) - static_cast<double>(rounded[row * size + b]));
      }
    }
    return sum;
  }

  std::vector<double> damped() const {
    std::vector<double> result(hessian.begin(), hessian.end());
    for (std::size_t each = 0; each < static_cast<std::size_t>(inner); ++each)
      result[each * static_cast<std::size_t>(inner) + each] += static_cast<double>(damping);
    return result;
  }

  std::int64_t outer;
  std::int64_t inner;
  std::vector<float> weights;
  std::vector<float> hessian;
  float damping = 0;
};

std::vector<float> solved(const Problem& problem, const Format& format, std::span<const std::int32_t> order = {}) {
  const auto size = static_cast<std::size_t>(problem.inner);
  std::vector<float> factor = problem.hessian;
  for (std::size_t row = 0; row < size && !order.empty(); ++row)
    for (std::size_t column = 0; column < size; ++column)
      factor[row * size + column] =
          problem.hessian[static_cast<std::size_t>(order[row]) * size + static_cast<std::size_t>(order[column])];
  factorize(factor, problem.inner, problem.damping, kThreads);
  std::vector<float> values = problem.weights;
  Rows rows(format, problem.outer, problem.inner);
  gptq({values, problem.outer, problem.inner}, factor, order, format, rows.room(), kThreads);
  // What it leaves in the weights is what the codes stand for.
  CHECK(squaredDistance(rows.values(), values) < 1e-12);
  return values;
}

}  // namespace

TEST(quantize_halves_and_float8_round_to_the_nearest) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = fromHalf(static_cast<std::uint16_t>(bits));
    if (!std::isfinite(value)) continue;
    CHECK_EQUAL(value, test::fromHalf(static_cast<std::uint16_t>(bits)));
    CHECK_EQUAL(toHalf(value), bits);
  }
  for (const float value : normals(20000, 1)) {
    CHECK_EQUAL(toHalf(value), test::toHalf(value));
    CHECK_EQUAL(toHalf(value * 1e-5F), test::toHalf(value * 1e-5F));
  }
  CHECK(std::isinf(fromHalf(toHalf(65520))));
  for (std::uint32_t code = 0; code < 0x7f; ++code) {
    const float value = fromFloat8(static_cast<std::uint8_t>(code));
    CHECK_EQUAL(toFloat8(value), code);
    CHECK_EQUAL(toFloat8(-value), code | 0x80);
    if (code == 0x7e) continue;
    const float next = fromFloat8(static_cast<std::uint8_t>(code + 1));
    CHECK_EQUAL(toFloat8(0.49F * next + 0.51F * value), code);
    // Halfway the even one.
    CHECK_EQUAL(toFloat8((value + next) / 2), code % 2 == 0 ? code : code + 1);
  }
  CHECK_EQUAL(fromFloat8(toFloat8(1000)), 448.0F);
}

TEST(quantize_errors_are_at_most_half_a_step_in_every_format) {
  for (const std::int64_t inner : {16, 70, 256}) {
    constexpr std::int64_t outer = 101;
    const std::vector<float> values = normals(static_cast<std::size_t>(outer * inner), 3);
    for (Format format : formats()) {
      format.search = false;
      Rows rows(format, outer, inner);
      roundToNearest(dense(values, outer, inner), format, {}, rows.room(), kThreads);
      const std::vector<float> rounded = rows.values();
      const std::int64_t block = format.blockOf(inner);
      for (std::int64_t row = 0; row < outer; ++row) {
        for (std::int64_t column = 0; column < inner; ++column) {
          const std::int64_t from = column / block * block;
          float low = 0;
          float high = 0;
          for (std::int64_t each = from; each < std::min(inner, from + block); ++each) {
            low = std::min(low, values[static_cast<std::size_t>(row * inner + each)]);
            high = std::max(high, values[static_cast<std::size_t>(row * inner + each)]);
          }
          const float largest = std::max(-low, high);
          // The last code of the smaller side of symmetric ones is a step short.
          const float step =
              format.kind == CodeKind::symmetric    ? 2 * largest / static_cast<float>(1 << (format.bits - 1))
              : format.kind == CodeKind::zeroPoints ? (high - low) / static_cast<float>((1 << format.bits) - 1) * 2
              : format.kind == CodeKind::int8Rows   ? largest / 127
                                                    : largest / 14;
          const auto at = static_cast<std::size_t>(row * inner + column);
          CHECK(std::fabs(rounded[at] - values[at]) <= 0.51F * step + 0.002F * largest);
        }
      }
    }
  }
}

TEST(quantize_search_is_never_worse_and_heeds_importance) {
  constexpr std::int64_t outer = 64;
  constexpr std::int64_t inner = 128;
  const std::vector<float> values = normals(outer * inner, 4);
  std::vector<float> importance(inner);
  for (std::size_t each = 0; each < importance.size(); ++each) importance[each] = each % 5 == 0 ? 100.0F : 0.01F;
  const auto weighed = [&](const std::vector<float>& rounded) {
    double sum = 0;
    for (std::size_t each = 0; each < rounded.size(); ++each) {
      const double error = static_cast<double>(rounded[each] - values[each]);
      sum += error * error * static_cast<double>(importance[each % inner]);
    }
    return sum;
  };
  for (Format format : formats()) {
    if (format.wholeRows() || format.bits == 8) continue;
    std::vector<double> errors;
    std::vector<double> weighedErrors;
    for (const int pass : {0, 1, 2}) {
      format.search = pass > 0;
      Rows rows(format, outer, inner);
      roundToNearest(dense(values, outer, inner), format,
                     pass == 2 ? std::span<const float>(importance) : std::span<const float>(), rows.room(), kThreads);
      errors.push_back(squaredDistance(rows.values(), values));
      weighedErrors.push_back(weighed(rows.values()));
    }
    CHECK(errors[1] < 0.95 * errors[0]);
    CHECK(weighedErrors[2] < weighedErrors[1]);
  }
}

TEST(quantize_what_blocks_hold_exactly_stays) {
  Format format{CodeKind::zeroPoints, 4, 32, FloatType::float32, false};
  std::vector<float> values;
  for (int block = 0; block < 40; ++block)
    for (int code = 0; code < 32; ++code) values.push_back(static_cast<float>(code % 16 - block % 16) * 0.25F);
  Rows rows(format, 10, 128);
  roundToNearest(dense(values, 10, 128), format, {}, rows.room(), kThreads);
  CHECK(squaredDistance(rows.values(), values) == 0);
  // Zeros, which have no scale.
  const std::vector<float> zeros(10 * 128);
  for (const Format& each : formats()) {
    Rows nothing(each, 10, 128);
    roundToNearest(dense(zeros, 10, 128), each, {}, nothing.room(), kThreads);
    CHECK(nothing.values() == zeros);
  }
}

TEST(quantize_reads_every_stored_type_either_way_round) {
  constexpr std::int64_t outer = 133;
  constexpr std::int64_t inner = 37;
  const std::vector<float> values = normals(outer * inner, 5);
  std::vector<float> columns(values.size());
  for (std::int64_t row = 0; row < outer; ++row)
    for (std::int64_t column = 0; column < inner; ++column)
      columns[static_cast<std::size_t>(column * outer + row)] = values[static_cast<std::size_t>(row * inner + column)];
  std::vector<float> read(values.size());
  toFloats(dense(columns, outer, inner, true), read, kThreads);
  CHECK(read == values);
  const std::vector<std::uint16_t> halves = test::halves(columns);
  toFloats(DenseMatrix{std::as_bytes(std::span(halves)), FloatType::float16, outer, inner, true}, read, kThreads);
  CHECK_EQUAL(read[38], test::fromHalf(test::toHalf(values[38])));
  const std::vector<std::uint16_t> bfloats = test::bfloats(values);
  toFloats(DenseMatrix{std::as_bytes(std::span(bfloats)), FloatType::bfloat16, outer, inner, false}, read, kThreads);
  CHECK_EQUAL(read[38], test::fromBfloat(bfloats[38]));
}

TEST(quantize_refuses_numbers_that_are_none_and_sizes_that_do_not_fit) {
  std::vector<float> values = normals(64 * 32, 6);
  values[5 * 32 + 7] = std::numeric_limits<float>::quiet_NaN();
  for (const Format& format : formats()) {
    Rows rows(format, 64, 32);
    const auto error =
        CHECK_THROWS(roundToNearest(dense(values, 64, 32), format, {}, rows.room(), kThreads), std::domain_error);
    CHECK_CONTAINS(error.what(), "row 5 holds a number that is not finite");
  }
  std::vector<float> read(values.size());
  CHECK_CONTAINS(CHECK_THROWS(toFloats(dense(values, 64, 32), read, kThreads), std::domain_error).what(),
                 "row 5 holds");
  values[5 * 32 + 7] = 1e9F;
  const Format half{CodeKind::symmetric, 4, 32, FloatType::float16, true};
  Rows rows(half, 64, 32);
  CHECK_THROWS(roundToNearest(dense(values, 64, 32), half, {}, rows.room(), kThreads), std::domain_error);
  CHECK_THROWS(roundToNearest(dense(values, 63, 32), half, {}, rows.room(), kThreads), std::invalid_argument);
  CHECK_THROWS(roundToNearest(dense(values, 128, 16), half, {}, rows.room(), kThreads), std::invalid_argument);
}

TEST(quantize_stops_when_told) {
  const std::atomic<std::int32_t> stop = 1;
  const Threads stopped{2, &stop};
  const std::vector<float> values = normals(64 * 32, 7);
  const Format format;
  Rows rows(format, 64, 32);
  CHECK_THROWS(roundToNearest(dense(values, 64, 32), format, {}, rows.room(), stopped), StoppedError);
  std::vector<float> hessian(32 * 32);
  CHECK_THROWS(addGram(hessian, 32, values, stopped), StoppedError);
}

TEST(quantize_products_of_any_shape_and_either_way_round) {
  for (const auto [rows, columns, depth] :
       {std::array{1, 1, 1}, {7, 17, 3}, {6, 16, 256}, {100, 530, 300}, {97, 33, 257}}) {
    const auto m = static_cast<std::size_t>(rows);
    const auto n = static_cast<std::size_t>(columns);
    const auto k = static_cast<std::size_t>(depth);
    const std::vector<float> a = normals(m * k, 8);
    const std::vector<float> b = normals(k * n, 9);
    for (const bool turned : {false, true}) {
      std::vector<float> result(m * n, 2);
      // Turned, the same numbers are the transposed matrix of another shape.
      const MatrixView left = turned ? MatrixView{a.data(), 1, rows} : MatrixView{a.data(), depth, 1};
      const MatrixView right = turned ? MatrixView{b.data(), 1, depth} : MatrixView{b.data(), columns, 1};
      Multiplier().addProduct(result.data(), columns, left, right, rows, columns, depth, -1);
      for (std::size_t row = 0; row < m; ++row) {
        for (std::size_t column = 0; column < n; ++column) {
          double sum = 2;
          for (std::size_t each = 0; each < k; ++each)
            sum -= static_cast<double>(turned ? a[each * m + row] : a[row * k + each]) *
                   static_cast<double>(turned ? b[column * k + each] : b[each * n + column]);
          CHECK(std::fabs(sum - static_cast<double>(result[row * n + column])) < 1e-4);
        }
      }
    }
  }
}

TEST(quantize_factors_multiply_to_the_damped_hessian) {
  for (const std::int64_t size : {1, 5, 128, 300}) {
    const Problem problem(1, size, 10);
    std::vector<float> factor = problem.hessian;
    factorize(factor, size, problem.damping, kThreads);
    const std::vector<double> expected = problem.damped();
    const auto at = [size](std::int64_t row, std::int64_t column) {
      return static_cast<std::size_t>(row * size + column);
    };
    for (std::int64_t row = 0; row < size; ++row) {
      for (std::int64_t column = 0; column < size; ++column) {
        if (row > column) CHECK_EQUAL(factor[at(row, column)], 0.0F);
        double sum = 0;
        for (std::int64_t k = std::max(row, column); k < size; ++k)
          sum += static_cast<double>(factor[at(row, k)]) * static_cast<double>(factor[at(column, k)]);
        const double scale = std::sqrt(expected[at(row, row)] * expected[at(column, column)]);
        CHECK(std::fabs(sum - expected[at(row, column)]) < 1e-5 * scale);
      }
    }
  }
  std::vector<float> indefinite{1, 2, 2, 1};
  const auto error = CHECK_THROWS(factorize(indefinite, 2, 0, kThreads), std::domain_error);
  CHECK_CONTAINS(error.what(), "not positive definite");
}

TEST(quantize_gptq_is_the_algorithm_of_its_paper) {
  const Problem problem(10, 96, 11);
  std::vector<std::int32_t> inTurn(96);
  for (std::size_t each = 0; each < inTurn.size(); ++each) inTurn[each] = static_cast<std::int32_t>(each);
  // Without a search scales do not depend on importance, which the paper's algorithm does not know.
  for (const CodeKind kind : {CodeKind::symmetric, CodeKind::zeroPoints}) {
    for (const std::int64_t block : {16, 32}) {
      const Format format{kind, 4, block, FloatType::float32, false};
      const std::vector<float> expected =
          paperGptq(problem.weights, problem.damped(), problem.outer, problem.inner, format, inTurn);
      const std::vector<float> actual = solved(problem, format);
      std::size_t different = 0;
      for (std::size_t each = 0; each < actual.size(); ++each)
        if (std::fabs(actual[each] - expected[each]) > 1e-6F) ++different;
      // Ties that the last bit decides, and what follows from them.
      CHECK(different < actual.size() / 50);
      CHECK(problem.error(actual) < 1.01 * problem.error(expected));
    }
  }
}

TEST(quantize_gptq_loses_less_than_rounding_in_every_format) {
  const Problem problem(100, 300, 12);
  std::vector<std::int32_t> order(300);
  for (std::size_t each = 0; each < order.size(); ++each) order[each] = static_cast<std::int32_t>(each * 7 % 300);
  for (const Format& format : formats()) {
    // fp8's steps grow with its numbers: little can be made up for.
    const double part = format.kind == CodeKind::float8Rows ? 0.95 : 0.6;
    Rows rows(format, problem.outer, problem.inner);
    roundToNearest(dense(problem.weights, problem.outer, problem.inner), format, {}, rows.room(), kThreads);
    const double rounded = problem.error(rows.values());
    CHECK(problem.error(solved(problem, format)) < part * rounded);
    // Scales are not made for what the weights become.
    CHECK(problem.error(solved(problem, format, order)) < (1 + part) / 2 * rounded);
  }
}

TEST(quantize_scaled_error_is_that_of_scaled_columns) {
  const Problem problem(50, 70, 13);
  const Format format{CodeKind::symmetric, 4, 32, FloatType::float32, true};
  std::vector<float> factors(70);
  for (std::size_t each = 0; each < factors.size(); ++each) factors[each] = 0.5F + static_cast<float>(each % 4);
  std::vector<float> inverse(70);
  std::vector<float> importance(70);
  for (std::size_t each = 0; each < factors.size(); ++each) {
    inverse[each] = 1 / factors[each];
    importance[each] = problem.hessian[each * 71] / (factors[each] * factors[each]);
  }
  std::vector<float> scaled = problem.weights;
  scaleColumns(scaled, factors, kThreads);
  Rows rows(format, 50, 70);
  roundToNearest(dense(scaled, 50, 70), format, importance, rows.room(), kThreads);
  std::vector<float> rounded = rows.values();
  scaleColumns(rounded, inverse, kThreads);
  const double expected = problem.error(rounded);
  CHECK(std::fabs(scaledError(problem.weights, problem.hessian, factors, 1, format, kThreads) - expected) <
        1e-3 * expected);
}
