// References: products with a transposed weight, of what may be normalised first, and gated after.
#include <cmath>

#include "activate.h"
#include "element.h"
#include "references.h"

namespace simulator::kernels {

namespace {

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

template <typename Element>
float product(const LinearParameters& p, const std::vector<float>& x, std::int32_t outer) {
  float sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * load<Element>(p.weight, at(outer) * x.size() + i);
  return p.bias == nullptr ? sum : sum + load<Element>(p.bias, at(outer));
}

std::int32_t widthOf(const LinearParameters& p) {
  return p.gated == 0 ? p.outer : p.outer / 2;
}

}  // namespace

template <typename Element>
void linear(const LinearParameters& p) {
  const std::int32_t width = widthOf(p);
  for (std::int32_t row = 0; row < p.rows; ++row) {
    const std::vector<float> x = rowOf<Element>(p, row);
    for (std::int32_t column = 0; column < width; ++column) {
      float value = product<Element>(p, x, column);
      if (p.gated != 0) value = activate(p.activation, value) * product<Element>(p, x, column + width);
      const std::size_t to = at(row) * at(width) + at(column);
      if (p.residual != nullptr) value += load<Element>(p.residual, to);
      if (p.outputType == ElementType::float32)
        static_cast<float*>(p.y)[to] = value;
      else
        store<Element>(p.y, to, value);
    }
  }
}

template void linear<Half>(const LinearParameters&);
template void linear<Bfloat>(const LinearParameters&);

std::vector<Touch> touches(const LinearParameters& p) {
  const std::size_t out = at(p.rows) * at(widthOf(p));
  std::vector<Touch> all{reads(p.x, at(p.rows) * at(p.inner) * 2), reads(p.weight, at(p.outer) * at(p.inner) * 2),
                         writes(p.y, out * (p.outputType == ElementType::float32 ? 4 : 2))};
  if (p.normWeight != nullptr) all.push_back(reads(p.normWeight, at(p.inner) * 2));
  if (p.bias != nullptr) all.push_back(reads(p.bias, at(p.outer) * 2));
  if (p.residual != nullptr) all.push_back(reads(p.residual, out * 2));
  return all;
}

}  // namespace simulator::kernels
