// Hessians and GPTQ on the simulated GPU, against the host's.
#include "quantize/gpu/gpu_hessian.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include "kernel_gpu.h"
#include "quantize/hessian.h"

namespace q = tensorrt_node::quantize;

namespace {

constexpr std::int64_t size = 160;
constexpr std::int64_t outer = 5;

struct Solver {
  test::Gpu gpu;
  tensorrt_node::cuda::PinnedPool pinned{gpu.context};
  q::GpuHessian hessian{{gpu.context, gpu.kernels, gpu.pool, pinned}, size};
};

std::vector<float> normal(std::int64_t count, unsigned seed) {
  std::mt19937 randomness(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& each : values) each = distribution(randomness);
  return values;
}

std::vector<float> inputs(std::int64_t rows) {
  std::vector<float> values = normal(rows * size, 1);
  for (std::size_t i = 1; i < values.size(); ++i) values[i] += 0.5F * values[i - 1];
  return values;
}

std::vector<float> hostHessian(const std::vector<float>& rows) {
  std::vector<float> hessian(static_cast<std::size_t>(size * size));
  q::addGram(hessian, size, rows, {});
  q::mirror(hessian, size);
  return hessian;
}

double worstError(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])) /
                                (1 + std::abs(static_cast<double>(b[i]))));
  return worst;
}

struct Rounded {
  std::vector<float> values;
  std::vector<std::byte> codes;
  std::vector<std::byte> scales;
  std::vector<std::byte> zeroPoints;

  explicit Rounded(const q::Format& format)
      : values(normal(outer * size, 2)),
        codes(outer * format.codeBytes(size)),
        scales(outer * format.scaleBytes(size)),
        zeroPoints(outer * format.zeroPointBytes(size)) {}
  q::GptqWeights weights() { return {values, outer, size}; }
  q::QuantizedRows rows() { return {codes, scales, zeroPoints}; }
};

}  // namespace

TEST(a_hessian_on_the_gpu_is_the_hosts) {
  Solver solver;
  const std::vector<float> rows = inputs(300);
  const std::span<const float> all(rows);
  solver.hessian.add(all.first(100 * size));
  solver.hessian.add(all.subspan(100 * size));
  std::vector<float> found(static_cast<std::size_t>(size * size));
  solver.hessian.read(found);
  CHECK(worstError(found, hostHessian(rows)) < 1e-4);
}

TEST(a_factor_on_the_gpu_is_the_hosts_in_any_order) {
  Solver solver;
  const std::vector<float> rows = inputs(300);
  solver.hessian.add(rows);
  std::vector<std::int32_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  for (const bool mixed : {false, true}) {
    if (mixed) std::shuffle(order.begin(), order.end(), std::mt19937(3));
    std::vector<float> wanted = hostHessian(rows);
    const std::vector<float> plain = wanted;
    for (std::size_t row = 0; row < size; ++row)
      for (std::size_t column = 0; column < size; ++column)
        wanted[row * size + column] =
            plain[static_cast<std::size_t>(order[row]) * size + static_cast<std::size_t>(order[column])];
    q::factorize(wanted, size, 2, {});
    solver.hessian.factorize(2, mixed ? order : std::vector<std::int32_t>());
    std::vector<float> found(wanted.size());
    solver.hessian.readFactor(found);
    CHECK(worstError(found, wanted) < 1e-4);
  }
}

TEST(codes_of_the_gpu_are_the_hosts) {
  Solver solver;
  const std::vector<float> rows = inputs(400);
  solver.hessian.add(rows);
  solver.hessian.factorize(3);
  std::vector<float> factor = hostHessian(rows);
  q::factorize(factor, size, 3, {});
  using enum q::CodeKind;
  using enum q::FloatType;
  const q::Format formats[] = {{symmetric, 4, 32, float16, true},  {symmetric, 4, 128, float32, false},
                               {zeroPoints, 4, 64, float16, true}, {zeroPoints, 8, 32, float32, true},
                               {int8Rows, 8, 32, float16, true},   {float8Rows, 8, 32, float32, true}};
  for (const q::Format& format : formats) {
    Rounded here(format);
    Rounded there(format);
    q::gptq(here.weights(), factor, {}, format, here.rows(), {});
    solver.hessian.gptq(there.weights(), format, there.rows(), {.count = 2});
    // Where a number lies between two codes, and sums in another order make it the other, those after it follow.
    int different = 0;
    for (std::size_t row = 0; row < outer; ++row) {
      bool equal = true;
      for (std::size_t i = row * size; i < (row + 1) * size; ++i)
        equal = equal && std::abs(here.values[i] - there.values[i]) <= 1e-3F * (1 + std::abs(here.values[i]));
      if (!equal) ++different;
    }
    CHECK(different <= 1);
    if (different == 0) {
      CHECK(here.codes == there.codes);
      CHECK(here.zeroPoints == there.zeroPoints);
    }
  }
}

TEST(what_gptq_on_the_gpu_cannot_do_is_said) {
  Solver solver;
  const q::Format format;
  Rounded rounded(format);
  CHECK_THROWS(solver.hessian.gptq(rounded.weights(), format, rounded.rows(), {}), std::invalid_argument);
  CHECK_THROWS(solver.hessian.add(std::vector<float>(size + 1)), std::invalid_argument);
  std::vector<float> rows(size);
  rows[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS(solver.hessian.add(rows), std::domain_error);
  // Nothing is known of any input.
  CHECK_THROWS(solver.hessian.factorize(0), std::domain_error);
  solver.hessian.factorize(1);
  rounded.values[size + 7] = std::numeric_limits<float>::infinity();
  CHECK_CONTAINS(
      CHECK_THROWS(solver.hessian.gptq(rounded.weights(), format, rounded.rows(), {}), std::domain_error).what(),
      "row 1");
  CHECK_THROWS((q::GpuHessian({solver.gpu.context, solver.gpu.kernels, solver.gpu.pool, solver.pinned}, 70000)),
               std::invalid_argument);
}
