// Products with a weight, for tests of all forms that a weight comes in: what they take, what they give in double
// precision, and comparisons.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "kernel_test.h"

namespace kernel_test {

struct ProductCase {
  int rows;
  int inner;
  int outer;
  bool bias = false;
  bool residual = false;
  bool wide = false;
  bool normed = false;
  // An Activation, or -1: not gated.
  int gated = -1;
};

inline std::string textOf(const ProductCase& c) {
  return text(c.rows, c.inner, c.outer, c.normed ? "norm" : "", c.bias ? "bias" : "", c.residual ? "residual" : "",
              c.gated < 0 ? "" : "gated " + std::to_string(c.gated), c.wide ? "float32" : "");
}

inline std::size_t sizeOf(int rows, int columns) {
  return static_cast<std::size_t>(rows) * columns;
}

template <typename Element>
struct Product {
  std::vector<Element> x;
  std::vector<Element> bias;
  std::vector<Element> residual;
  std::vector<Element> norm;
  LinearParameters p{};
};

// `weight` is on the device.
template <typename Element>
Product<Element> makeProduct(Gpu& gpu, const ProductCase& c, const void* weight, std::size_t workspaceBytes) {
  const int width = c.gated < 0 ? c.outer : c.outer / 2;
  Product<Element> d{rounded<Element>(normal(sizeOf(c.rows, c.inner), c.normed ? 3 : 1)),
                     rounded<Element>(normal(c.outer)),
                     rounded<Element>(normal(sizeOf(c.rows, width))),
                     rounded<Element>(normal(c.inner)),
                     {}};
  d.p.x = gpu.put(d.x);
  d.p.weight = weight;
  d.p.bias = c.bias ? gpu.put(d.bias) : nullptr;
  d.p.residual = c.residual ? gpu.put(d.residual) : nullptr;
  d.p.y = gpu.empty(sizeOf(c.rows, width) * 4);
  d.p.rows = c.rows;
  d.p.inner = c.inner;
  d.p.outer = c.outer;
  d.p.outputType = c.wide ? ElementType::float32 : typeOf<Element>();
  d.p.normWeight = c.normed ? gpu.put(d.norm) : nullptr;
  d.p.workspace = gpu.empty(workspaceBytes);
  d.p.epsilon = 1e-5F;
  d.p.gated = c.gated < 0 ? 0 : 1;
  d.p.activation = static_cast<Activation>(std::max(c.gated, 0));
  return d;
}

// `weights`: [outer, inner]. `normedOf` is what becomes of a number that was normalised.
template <typename Element, typename NormedOf>
std::vector<double> expectedOf(const ProductCase& c, const Product<Element>& d, const std::vector<double>& weights,
                               const NormedOf& normedOf) {
  const int width = c.gated < 0 ? c.outer : c.outer / 2;
  std::vector<double> expected;
  for (int row = 0; row < c.rows; ++row) {
    std::vector<double> xs;
    double squares = 0;
    for (int i = 0; i < c.inner; ++i) {
      xs.push_back(d.x[sizeOf(row, c.inner) + i].value());
      squares += xs.back() * xs.back();
    }
    if (c.normed)
      for (int i = 0; i < c.inner; ++i)
        xs[i] = normedOf(xs[i] * d.norm[i].value() / std::sqrt(squares / c.inner + 1e-5));
    const auto product = [&](int outer) {
      double sum = c.bias ? static_cast<double>(d.bias[outer].value()) : 0;
      const double* const line = weights.data() + sizeOf(outer, c.inner);
      for (int i = 0; i < c.inner; ++i) sum += xs[i] * line[i];
      return sum;
    };
    for (int column = 0; column < width; ++column) {
      double value = product(column);
      if (c.gated >= 0) value = activated(static_cast<Activation>(c.gated), value) * product(column + width);
      if (c.residual) value += d.residual[sizeOf(row, width) + column].value();
      expected.push_back(value);
    }
  }
  return expected;
}

// `inside`: what may be lost before the result is rounded to its type.
template <typename Element>
void compareProduct(Gpu& gpu, const std::string& name, const ProductCase& c, const Product<Element>& d,
                    const std::vector<double>& expected, double inside) {
  if (c.wide)
    compare(name, gpu.take<float>(d.p.y, expected.size()), expected, inside);
  else
    compare(name, gpu.take<Element>(d.p.y, expected.size()), expected, inside + 1.1 * unit<Element>());
}

// Whether `multiply` gives the first rows the same numbers, to the last bit, however many rows follow them.
template <typename Element, typename Multiply>
bool rowsAreAlone(Gpu& gpu, const ProductCase& c, Product<Element> d, const std::vector<int>& rowCounts,
                  const Multiply& multiply) {
  const std::size_t width = c.gated < 0 ? c.outer : c.outer / 2;
  std::vector<float> most;
  bool same = true;
  for (const int rows : rowCounts) {
    d.p.rows = rows;
    multiply(d.p);
    const auto values = gpu.take<float>(d.p.y, width * rows);
    if (most.empty()) most = values;
    same = same && std::equal(values.begin(), values.end(), most.begin());
  }
  return same;
}

}  // namespace kernel_test
