// References: products with a transposed weight.
#include "element.h"
#include "references.h"

namespace simulator::kernels {

template <typename Element>
void linear(const LinearParameters& p) {
  for (std::int32_t row = 0; row < p.rows; ++row)
    for (std::int32_t column = 0; column < p.outer; ++column) {
      float sum = 0;
      for (std::int32_t i = 0; i < p.inner; ++i)
        sum += load<Element>(p.x, at(row) * at(p.inner) + at(i)) *
               load<Element>(p.weight, at(column) * at(p.inner) + at(i));
      const std::size_t to = at(row) * at(p.outer) + at(column);
      if (p.bias != nullptr) sum += load<Element>(p.bias, at(column));
      if (p.residual != nullptr) sum += load<Element>(p.residual, to);
      if (p.outputType == ElementType::float32)
        static_cast<float*>(p.y)[to] = sum;
      else
        store<Element>(p.y, to, sum);
    }
}

template void linear<Half>(const LinearParameters&);
template void linear<Bfloat>(const LinearParameters&);

std::vector<Touch> touches(const LinearParameters& p) {
  const std::size_t out = at(p.rows) * at(p.outer);
  std::vector<Touch> all{reads(p.x, at(p.rows) * at(p.inner) * 2), reads(p.weight, at(p.outer) * at(p.inner) * 2),
                         writes(p.y, out * (p.outputType == ElementType::float32 ? 4 : 2))};
  if (p.bias != nullptr) all.push_back(reads(p.bias, at(p.outer) * 2));
  if (p.residual != nullptr) all.push_back(reads(p.residual, out * 2));
  return all;
}

}  // namespace simulator::kernels
