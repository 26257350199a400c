// Cases of what GPTQ computes on the GPU, against double precision.
#include <cstdint>

#include "kernel_test.h"
#include "kernels/gptq.h"
#include "kernels/gptq_geometry.h"

namespace kernel_test {

namespace {

using Matrix = std::vector<double>;

std::size_t at(int row, int column, int columns) {
  return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(column);
}

void testProduct(Gpu& gpu, int m, int n, int k, bool aTransposed, bool bTransposed, float keep) {
  const std::string name = text("matrix_product", m, n, k, aTransposed ? "transposed" : "plain",
                                bTransposed ? "transposed" : "plain", keep == 0 ? "new" : "kept");
  if (!wanted(name)) return;
  // Rows are longer than what is read of them.
  const int aStride = (aTransposed ? m : k) + 3;
  const int bStride = (bTransposed ? k : n) + 1;
  const auto a = normal(at(aTransposed ? k : m, 0, aStride));
  const auto b = normal(at(bTransposed ? n : k, 0, bStride));
  const auto c = normal(at(m, 0, n));
  float* const result = keep == 0 ? static_cast<float*>(gpu.empty(c.size() * sizeof(float))) : gpu.put(c);
  matrixProduct(gpu.kernels(), gpu.stream(),
                {.a = gpu.put(a),
                 .b = gpu.put(b),
                 .c = result,
                 .aStride = aStride,
                 .bStride = bStride,
                 .cStride = n,
                 .m = m,
                 .n = n,
                 .k = k,
                 .aTransposed = aTransposed ? 1 : 0,
                 .bTransposed = bTransposed ? 1 : 0,
                 .lower = 0,
                 .factor = -0.5F,
                 .keep = keep});
  Matrix expected;
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int inner = 0; inner < k; ++inner)
        sum += static_cast<double>(a[aTransposed ? at(inner, i, aStride) : at(i, inner, aStride)]) *
               static_cast<double>(b[bTransposed ? at(j, inner, bStride) : at(inner, j, bStride)]);
      expected.push_back((keep == 0 ? 0 : static_cast<double>(keep) * static_cast<double>(c[at(i, j, n)])) - 0.5 * sum);
    }
  compare(name, gpu.take<float>(result, c.size()), expected, 1e-6 * std::sqrt(k));
  gpu.release();
}

// Inputs of which some go together, as those of a model do, and one that is always zero.
std::vector<float> inputsOf(int rows, int size) {
  std::vector<float> inputs = normal(at(rows, 0, size));
  for (int row = 0; row < rows; ++row)
    for (int i = 1; i < size; ++i) inputs[at(row, i, size)] += 0.7F * inputs[at(row, i - 1, size)];
  for (int row = 0; row < rows; ++row) inputs[at(row, size / 2, size)] = 0;
  return inputs;
}

Matrix hessianOf(const std::vector<float>& inputs, int rows, int size) {
  Matrix hessian(at(size, 0, size));
  for (int row = 0; row < rows; ++row)
    for (int i = 0; i < size; ++i)
      for (int j = 0; j < size; ++j)
        hessian[at(i, j, size)] +=
            static_cast<double>(inputs[at(row, i, size)]) * static_cast<double>(inputs[at(row, j, size)]);
  return hessian;
}

// By elimination from the last column on; the diagonal has D.
Matrix unitUpper(Matrix hessian, int size) {
  Matrix upper(hessian.size());
  for (int column = size - 1; column >= 0; --column) {
    const double pivot = hessian[at(column, column, size)];
    upper[at(column, column, size)] = pivot;
    for (int row = 0; row < column; ++row) upper[at(row, column, size)] = hessian[at(row, column, size)] / pivot;
    for (int row = 0; row < column; ++row)
      for (int other = 0; other < column; ++other)
        hessian[at(row, other, size)] -= upper[at(row, column, size)] * pivot * upper[at(other, column, size)];
  }
  return upper;
}

struct Factored {
  float* upper;
  float* diagonal;
  int failures;
};

Factored factor(Gpu& gpu, const std::vector<float>& inputs, int rows, int size, float damping,
                const std::vector<std::int32_t>& order = {}) {
  auto* const hessian = static_cast<float*>(gpu.empty(at(size, 0, size) * sizeof(float)));
  // In two pieces, as calibration comes.
  const float* const all = gpu.put(inputs);
  const int first = rows / 3;
  addToHessian(gpu.kernels(), gpu.stream(), all, first, size, hessian, true);
  addToHessian(gpu.kernels(), gpu.stream(), all + at(first, 0, size), rows - first, size, hessian, false);
  auto* const diagonal = static_cast<float*>(gpu.empty(static_cast<std::size_t>(size) * sizeof(float)));
  std::int32_t* const failures = gpu.put(std::vector<std::int32_t>{0});
  factorHessian(gpu.kernels(), gpu.stream(),
                {.hessian = hessian,
                 .reversed = static_cast<float*>(gpu.empty(at(size, 0, size) * sizeof(float))),
                 .order = order.empty() ? nullptr : gpu.put(order),
                 .size = size,
                 .damping = damping},
                hessian, diagonal, failures);
  return {hessian, diagonal, gpu.take<std::int32_t>(failures, 1)[0]};
}

constexpr float damping = 3;

Matrix dampedHessian(const std::vector<float>& inputs, int rows, int size) {
  Matrix hessian = hessianOf(inputs, rows, size);
  for (int i = 0; i < size; ++i) hessian[at(i, i, size)] += static_cast<double>(damping);
  return hessian;
}

void testFactor(Gpu& gpu, int rows, int size, bool ordered = false) {
  const std::string name = text("hessian", rows, size, ordered ? "in another order" : "as it is");
  if (!wanted(name)) return;
  const auto inputs = inputsOf(rows, size);
  std::vector<std::int32_t> order;
  for (int i = 0; ordered && i < size; ++i) order.push_back(i);
  std::shuffle(order.begin(), order.end(), randomness);
  const Factored factored = factor(gpu, inputs, rows, size, damping, order);
  Matrix hessian = dampedHessian(inputs, rows, size);
  if (ordered) {
    const Matrix plain = hessian;
    for (int row = 0; row < size; ++row)
      for (int column = 0; column < size; ++column)
        hessian[at(row, column, size)] = plain[at(order[static_cast<std::size_t>(row)],
                                                  order[static_cast<std::size_t>(column)], size)];
  }
  const Matrix upper = unitUpper(hessian, size);
  const auto found = gpu.take<float>(factored.upper, upper.size());
  const auto diagonal = gpu.take<float>(factored.diagonal, static_cast<std::size_t>(size));
  std::vector<float> actual;
  Matrix expected;
  for (int row = 0; row < size; ++row)
    for (int column = row; column < size; ++column) {
      actual.push_back(row == column ? diagonal[static_cast<std::size_t>(row)] : found[at(row, column, size)]);
      expected.push_back(upper[at(row, column, size)]);
    }
  compare(name, actual, expected, 5e-5);
  verdict(name + " is positive definite", factored.failures == 0);
  gpu.release();
}

void testIndefinite(Gpu& gpu) {
  const std::string name = "hessian that is not positive definite";
  if (!wanted(name)) return;
  // Two inputs that are the same, and nothing added.
  std::vector<float> inputs;
  for (int row = 0; row < 40; ++row)
    for (int i = 0; i < 3; ++i) inputs.push_back(i == 2 ? 1.0F : static_cast<float>(row % 7 - 3));
  verdict(name, factor(gpu, inputs, 40, 3, 0).failures > 0);
  gpu.release();
}

struct GptqCase {
  int rows;
  int columns;
  GptqCodes kind;
  int bits;
  int block;
  bool search;
};

const char* nameOf(GptqCodes kind) {
  switch (kind) {
    case GptqCodes::symmetric:
      return "symmetric";
    case GptqCodes::zeroPoints:
      return "zero points";
    case GptqCodes::int8:
      return "int8";
    case GptqCodes::float8:
      return "float8";
  }
  return "";
}

struct Quantized {
  std::vector<std::uint8_t> codes;
  std::vector<float> scales;
  std::vector<std::uint8_t> zeroPoints;

  // What the codes stand for.
  double value(const GptqCase& c, int row, int column) const {
    const int blocks = c.block == 0 ? 1 : (c.columns + c.block - 1) / c.block;
    const int code = codes[at(row, column, c.columns)];
    const std::size_t block = at(row, c.block == 0 ? 0 : column / c.block, blocks);
    const auto scale = static_cast<double>(scales[block]);
    switch (c.kind) {
      case GptqCodes::symmetric:
        return (code - (1 << (c.bits - 1))) * scale;
      case GptqCodes::zeroPoints:
        return (code - zeroPoints[block]) * scale;
      case GptqCodes::int8:
        return static_cast<std::int8_t>(code) * scale;
      case GptqCodes::float8:
        return float8Value(code) * scale;
    }
    return 0;
  }
};

Quantized quantized(Gpu& gpu, const GptqCase& c, const std::vector<float>& weights, const float* upper,
                    const float* diagonal) {
  const int blocks = c.block == 0 ? 1 : (c.columns + c.block - 1) / c.block;
  std::vector<float> scales(at(c.rows, 0, blocks));
  for (int row = 0; c.block == 0 && row < c.rows; ++row) {
    float largest = 0;
    for (int i = 0; i < c.columns; ++i) largest = std::max(largest, std::abs(weights[at(row, i, c.columns)]));
    scales[static_cast<std::size_t>(row)] = largest / (c.kind == GptqCodes::int8 ? 127.0F : 448.0F);
  }
  auto* const codes = static_cast<std::uint8_t*>(gpu.empty(weights.size()));
  float* const scalesThere = gpu.put(scales);
  auto* const zeroPoints =
      c.kind == GptqCodes::zeroPoints ? static_cast<std::uint8_t*>(gpu.empty(scales.size())) : nullptr;
  gptq(gpu.kernels(), gpu.stream(),
       {.weights = gpu.put(weights),
        .targets = gpu.put(weights),
        .upper = upper,
        .diagonal = diagonal,
        .lost = static_cast<float*>(gpu.empty(at(c.rows, 0, gptqColumns) * sizeof(float))),
        .codes = codes,
        .scales = scalesThere,
        .zeroPoints = zeroPoints,
        .rows = c.rows,
        .columns = c.columns,
        .first = 0,
        .bits = c.bits,
        .block = c.block,
        .search = c.search ? 1 : 0,
        .scaling = 1024,
        .kind = c.kind});
  Quantized result{gpu.take<std::uint8_t>(codes, weights.size()), gpu.take<float>(scalesThere, scales.size()), {}};
  if (zeroPoints != nullptr) result.zeroPoints = gpu.take<std::uint8_t>(zeroPoints, scales.size());
  return result;
}

// Error * Hessian * transpose(error), of all rows: what GPTQ makes small.
double lossOf(const Quantized& q, const GptqCase& c, const std::vector<float>& weights, const Matrix& hessian) {
  double loss = 0;
  for (int row = 0; row < c.rows; ++row) {
    Matrix error;
    for (int i = 0; i < c.columns; ++i)
      error.push_back(static_cast<double>(weights[at(row, i, c.columns)]) - q.value(c, row, i));
    for (int i = 0; i < c.columns; ++i)
      for (int j = 0; j < c.columns; ++j)
        loss += error[static_cast<std::size_t>(i)] * hessian[at(i, j, c.columns)] * error[static_cast<std::size_t>(j)];
  }
  return loss;
}

// The codes that follow, in double precision, from the scales that were chosen: each column's is the nearest to its
// weight with what was lost before it made up for. Where two are as near, either will do.
void testCodes(const std::string& name, const Quantized& q, const GptqCase& c, const std::vector<float>& weights,
               const Matrix& upper) {
  const int blocks = c.block == 0 ? 1 : (c.columns + c.block - 1) / c.block;
  double worst = 0;
  Quantized other = q;
  for (int row = 0; row < c.rows; ++row) {
    Matrix lost;
    for (int i = 0; i < c.columns; ++i) {
      const auto weight = static_cast<double>(weights[at(row, i, c.columns)]);
      double target = weight;
      for (int before = 0; before < i; ++before)
        target += lost[static_cast<std::size_t>(before)] * upper[at(before, i, c.columns)];
      const double value = q.value(c, row, i);
      lost.push_back(weight - value);
      const std::size_t block = at(row, c.block == 0 ? 0 : i / c.block, blocks);
      const auto scale = std::abs(static_cast<double>(q.scales[block]));
      if (scale == 0) continue;
      // Half a step, where the codes do not end.
      double nearest = std::abs(target - value);
      for (int code = 0; code < (1 << c.bits); ++code) {
        if (c.kind == GptqCodes::float8 && (code & 127) == 127) continue;
        if (c.kind == GptqCodes::int8 && code == 128) continue;
        other.codes[at(row, i, c.columns)] = static_cast<std::uint8_t>(code);
        nearest = std::min(nearest, std::abs(target - other.value(c, row, i)));
      }
      worst = std::max(worst, (std::abs(target - value) - nearest) / scale);
    }
  }
  verdict(name + " codes", worst < 2e-3, "worst: " + std::to_string(worst) + " steps from the nearest");
}

void testGptqCase(Gpu& gpu, const GptqCase& c) {
  const std::string name =
      text("gptq", c.rows, c.columns, nameOf(c.kind), c.bits, c.block, c.search ? "search" : "largest");
  if (!wanted(name)) return;
  const int samples = 2 * c.columns;
  const auto inputs = inputsOf(samples, c.columns);
  std::vector<float> weights = normal(at(c.rows, 0, c.columns), 0.05F);
  // A row of zeros, and one block.
  for (int i = 0; i < c.columns; ++i) {
    if (c.rows > 1) weights[at(1, i, c.columns)] = 0;
    if (i < 16) weights[at(0, i, c.columns)] = 0;
  }
  const Factored factored = factor(gpu, inputs, samples, c.columns, damping);
  const Quantized made = quantized(gpu, c, weights, factored.upper, factored.diagonal);
  const Matrix hessian = dampedHessian(inputs, samples, c.columns);
  testCodes(name, made, c, weights, unitUpper(hessian, c.columns));
  // Without feedback each column is rounded on its own.
  const std::vector<float> none(at(c.columns, 0, c.columns));
  const double plain = lossOf(quantized(gpu, c, weights, gpu.put(none), factored.diagonal), c, weights, hessian);
  const double loss = lossOf(made, c, weights, hessian);
  verdict(name + " loses less than rounding", loss < 0.8 * plain,
          std::to_string(loss) + " instead of " + std::to_string(plain));
  gpu.release();
}

}  // namespace

void testGptq(Gpu& gpu) {
  for (const bool aTransposed : {false, true})
    for (const bool bTransposed : {false, true}) testProduct(gpu, 130, 65, 37, aTransposed, bTransposed, 0);
  testProduct(gpu, 1, 1, 1, false, false, 1);
  testProduct(gpu, 129, 257, 8, false, true, 1);
  for (const int size : {1, 5, 64, 65, 200}) testFactor(gpu, 2 * size + 1, size);
  // Fewer samples than inputs.
  testFactor(gpu, 30, 130);
  testFactor(gpu, 200, 90, true);
  testIndefinite(gpu);
  for (const bool search : {false, true}) {
    testGptqCase(gpu, {9, 200, GptqCodes::symmetric, 4, 32, search});
    testGptqCase(gpu, {9, 72, GptqCodes::zeroPoints, 4, 16, search});
  }
  testGptqCase(gpu, {5, 160, GptqCodes::symmetric, 4, 64, true});
  testGptqCase(gpu, {5, 260, GptqCodes::zeroPoints, 4, 128, true});
  testGptqCase(gpu, {4, 100, GptqCodes::symmetric, 8, 32, true});
  testGptqCase(gpu, {4, 100, GptqCodes::zeroPoints, 8, 64, true});
  testGptqCase(gpu, {4, 140, GptqCodes::int8, 8, 0, false});
  testGptqCase(gpu, {4, 140, GptqCodes::float8, 8, 0, false});
}

}  // namespace kernel_test
