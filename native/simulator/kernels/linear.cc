// References: products with a transposed weight, of what may be normalised first, and gated after.
#include "product.h"

namespace simulator::kernels {

template <typename Element>
void linear(const LinearParameters& p) {
  multiply<Element>(
      p, [&](std::size_t outer, std::size_t inner) { return load<Element>(p.weight, outer * at(p.inner) + inner); });
}

template void linear<Half>(const LinearParameters&);
template void linear<Bfloat>(const LinearParameters&);

std::vector<Touch> touchesBesideWeight(const LinearParameters& p) {
  const std::size_t out = at(p.rows) * at(widthOf(p));
  std::vector<Touch> all{reads(p.x, at(p.rows) * at(p.inner) * 2),
                         writes(p.y, out * (p.outputType == ElementType::float32 ? 4 : 2))};
  if (p.normWeight != nullptr) all.push_back(reads(p.normWeight, at(p.inner) * 2));
  if (p.bias != nullptr) all.push_back(reads(p.bias, at(p.outer) * 2));
  if (p.residual != nullptr) all.push_back(reads(p.residual, out * 2));
  return all;
}

std::vector<Touch> touches(const LinearParameters& p) {
  std::vector<Touch> all = touchesBesideWeight(p);
  all.push_back(reads(p.weight, at(p.outer) * at(p.inner) * 2));
  return all;
}

}  // namespace simulator::kernels
