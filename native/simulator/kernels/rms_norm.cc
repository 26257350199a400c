// References: root mean square normalisation (Zhang and Sennrich 2019).
#include <cmath>

#include "element.h"
#include "references.h"

namespace simulator::kernels {

template <typename Element>
void rmsNorm(const RmsNormParameters& p) {
  std::vector<float> sum(at(p.width));
  for (std::int32_t row = 0; row < p.rows; ++row) {
    const std::size_t begin = at(row) * at(p.width);
    float squares = 0;
    for (std::size_t i = 0; i < sum.size(); ++i) {
      sum[i] = load<Element>(p.x, begin + i) + (p.skip == nullptr ? 0 : load<Element>(p.skip, begin + i));
      squares += sum[i] * sum[i];
    }
    const float factor = 1 / std::sqrt(squares / static_cast<float>(p.width) + p.epsilon);
    for (std::size_t i = 0; i < sum.size(); ++i) {
      store<Element>(p.y, begin + i, sum[i] * factor * load<Element>(p.weight, i));
      if (p.sum != nullptr) store<Element>(p.sum, begin + i, sum[i]);
    }
  }
}

template void rmsNorm<Half>(const RmsNormParameters&);
template void rmsNorm<Bfloat>(const RmsNormParameters&);

std::vector<Touch> touches(const RmsNormParameters& p) {
  const std::size_t bytes = at(p.rows) * at(p.width) * 2;
  std::vector<Touch> all{reads(p.x, bytes), reads(p.weight, at(p.width) * 2), writes(p.y, bytes)};
  if (p.skip != nullptr) all.push_back(reads(p.skip, bytes));
  if (p.sum != nullptr) all.push_back(writes(p.sum, bytes));
  return all;
}

}  // namespace simulator::kernels
