// The launchers of GPTQ, on the simulated driver's references: what they queue, and that nothing of it races.
#include "kernels/gptq.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include "kernel_gpu.h"
#include "kernels/gptq_geometry.h"

using namespace tensorrt_node::kernels;
using test::Gpu;

namespace {

// More than one panel, and columns of codes.
constexpr std::int32_t size = 150;
constexpr std::int32_t samples = 400;

std::size_t at(std::int32_t row, std::int32_t column) {
  return static_cast<std::size_t>(row * size + column);
}

std::vector<float> inputs() {
  std::mt19937 randomness(1);
  std::normal_distribution<float> distribution;
  std::vector<float> values(at(samples, 0));
  for (std::int32_t row = 0; row < samples; ++row)
    for (std::int32_t i = 0; i < size; ++i)
      values[at(row, i)] = distribution(randomness) + (i == 0 ? 0 : 0.6F * values[at(row, i - 1)]);
  return values;
}

std::vector<double> hessian(const std::vector<float>& values) {
  std::vector<double> sums(at(size, 0));
  for (std::int32_t row = 0; row < samples; ++row)
    for (std::int32_t i = 0; i < size; ++i)
      for (std::int32_t j = 0; j < size; ++j)
        sums[at(i, j)] += static_cast<double>(values[at(row, i)]) * static_cast<double>(values[at(row, j)]);
  return sums;
}

struct Factored {
  float* upper;
  float* diagonal;
  std::int32_t failures;
};

Factored factored(Gpu& gpu, const std::vector<float>& values) {
  auto* const sums = static_cast<float*>(gpu.empty(at(size, 0) * sizeof(float)));
  const float* const all = gpu.put(values);
  addToHessian(*gpu.kernels, gpu.stream.handle(), all, 100, size, sums, true);
  addToHessian(*gpu.kernels, gpu.stream.handle(), all + at(100, 0), samples - 100, size, sums, false);
  auto* const diagonal = static_cast<float*>(gpu.empty(size * sizeof(float)));
  auto* const failures = gpu.put<std::int32_t>({0});
  factorHessian(*gpu.kernels, gpu.stream.handle(),
                {.hessian = sums,
                 .reversed = static_cast<float*>(gpu.empty(at(size, 0) * sizeof(float))),
                 .order = nullptr,
                 .size = size,
                 .damping = 0},
                sums, diagonal, failures);
  return {sums, diagonal, gpu.take<std::int32_t>(failures, 1)[0]};
}

}  // namespace

TEST(a_hessian_is_its_factors_product) {
  Gpu gpu;
  const std::vector<float> values = inputs();
  const Factored found = factored(gpu, values);
  CHECK_EQUAL(found.failures, 0);
  const std::vector<float> upper = gpu.take<float>(found.upper, at(size, 0));
  const std::vector<float> diagonal = gpu.take<float>(found.diagonal, size);
  const std::vector<double> wanted = hessian(values);
  const auto u = [&](std::int32_t row, std::int32_t column) {
    return row == column ? 1.0 : static_cast<double>(upper[at(row, column)]);
  };
  double worst = 0;
  for (std::int32_t i = 0; i < size; ++i)
    for (std::int32_t j = i; j < size; ++j) {
      double product = 0;
      for (std::int32_t k = j; k < size; ++k)
        product += u(i, k) * static_cast<double>(diagonal[static_cast<std::size_t>(k)]) * u(j, k);
      worst = std::max(worst, std::abs(product - wanted[at(i, j)]) / wanted[at(i, i)]);
    }
  CHECK(worst < 1e-5);
}

TEST(codes_make_up_for_what_was_lost_before) {
  Gpu gpu;
  const std::vector<float> values = inputs();
  const Factored found = factored(gpu, values);
  const std::vector<double> sums = hessian(values);
  std::mt19937 randomness(2);
  std::normal_distribution<float> distribution;
  constexpr std::int32_t rows = 3;
  std::vector<float> weights(at(rows, 0));
  for (float& each : weights) each = distribution(randomness);
  const auto loss = [&](const float* factor) {
    auto* const codes = static_cast<std::uint8_t*>(gpu.empty(weights.size()));
    auto* const scales = static_cast<float*>(gpu.empty(rows * 5 * sizeof(float)));
    gptq(*gpu.kernels, gpu.stream.handle(),
         {.weights = gpu.put(weights),
          .targets = gpu.put(weights),
          .upper = factor,
          .diagonal = found.diagonal,
          .lost = static_cast<float*>(gpu.empty(rows * gptqColumns * sizeof(float))),
          .codes = codes,
          .scales = scales,
          .zeroPoints = nullptr,
          .rows = rows,
          .columns = size,
          .first = 0,
          .bits = 4,
          .block = 32,
          .search = 0,
          .scaling = 1024,
          .kind = GptqCodes::symmetric});
    const auto chosen = gpu.take<std::uint8_t>(codes, weights.size());
    const auto steps = gpu.take<float>(scales, rows * 5);
    double sum = 0;
    for (std::int32_t row = 0; row < rows; ++row) {
      std::vector<double> error(size);
      for (std::int32_t i = 0; i < size; ++i)
        error[static_cast<std::size_t>(i)] = static_cast<double>(weights[at(row, i)]) -
                                             static_cast<double>(chosen[at(row, i)] - 8) *
                                                 static_cast<double>(steps[static_cast<std::size_t>(row * 5 + i / 32)]);
      for (std::int32_t i = 0; i < size; ++i)
        for (std::int32_t j = 0; j < size; ++j)
          sum += error[static_cast<std::size_t>(i)] * sums[at(i, j)] * error[static_cast<std::size_t>(j)];
    }
    return sum;
  };
  const double plain = loss(gpu.put(std::vector<float>(at(size, 0))));
  CHECK(loss(found.upper) < 0.6 * plain);
}

TEST(gptq_refuses_blocks_that_it_was_not_made_for) {
  Gpu gpu;
  GptqParameters parameters{};
  parameters.rows = 1;
  parameters.columns = 256;
  parameters.bits = 4;
  parameters.kind = GptqCodes::symmetric;
  for (const std::int32_t block : {0, 8, 48, 256}) {
    parameters.block = block;
    CHECK_THROWS(gptq(*gpu.kernels, gpu.stream.handle(), parameters), std::invalid_argument);
  }
}
