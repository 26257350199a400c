// Products of rows with a weight, which is what weightAt(outer, inner) says.
#pragma once

#include <cmath>
#include <vector>

#include "activate.h"
#include "element.h"
#include "references.h"

namespace simulator::kernels {

inline std::int32_t widthOf(const LinearParameters& p) {
  return p.gated == 0 ? p.outer : p.outer / 2;
}

template <typename Element>
std::vector<float> rowOf(const LinearParameters& p, std::int32_t row) {
  std::vector<float> x(at(p.inner));
  float squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = load<Element>(p.x, at(row) * x.size() + i);
    squares += x[i] * x[i];
  }
  if (p.normWeight == nullptr) return x;
  const float factor = 1 / std::sqrt(squares / static_cast<float>(p.inner) + p.epsilon);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] *= factor * load<Element>(p.normWeight, i);
  return x;
}

template <typename Element, typename WeightAt>
void multiply(const LinearParameters& p, const WeightAt& weightAt) {
  const std::int32_t width = widthOf(p);
  for (std::int32_t row = 0; row < p.rows; ++row) {
    const std::vector<float> x = rowOf<Element>(p, row);
    const auto product = [&](std::int32_t outer) {
      float sum = 0;
      for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * weightAt(at(outer), i);
      return p.bias == nullptr ? sum : sum + load<Element>(p.bias, at(outer));
    };
    for (std::int32_t column = 0; column < width; ++column) {
      float value = product(column);
      if (p.gated != 0) value = activate(p.activation, value) * product(column + width);
      const std::size_t to = at(row) * at(width) + at(column);
      if (p.residual != nullptr) value += load<Element>(p.residual, to);
      if (p.outputType == ElementType::float32)
        static_cast<float*>(p.y)[to] = value;
      else
        store<Element>(p.y, to, value);
    }
  }
}

// All but the weight.
std::vector<Touch> touchesBesideWeight(const LinearParameters& p);

}  // namespace simulator::kernels
