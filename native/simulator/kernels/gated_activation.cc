// References: gated linear units (Shazeer 2020).
#include "activate.h"
#include "element.h"
#include "references.h"

namespace simulator::kernels {

template <typename Element>
void gatedActivation(const GatedActivationParameters& p) {
  for (std::int32_t row = 0; row < p.rows; ++row)
    for (std::int32_t i = 0; i < p.width; ++i) {
      const std::size_t gate = 2 * at(row) * at(p.width) + at(i);
      const float up = load<Element>(p.gateUp, gate + at(p.width));
      store<Element>(p.y, at(row) * at(p.width) + at(i), activate(p.activation, load<Element>(p.gateUp, gate)) * up);
    }
}

template void gatedActivation<Half>(const GatedActivationParameters&);
template void gatedActivation<Bfloat>(const GatedActivationParameters&);

std::vector<Touch> touches(const GatedActivationParameters& p) {
  const std::size_t bytes = at(p.rows) * at(p.width) * 2;
  return {reads(p.gateUp, 2 * bytes), writes(p.y, bytes)};
}

}  // namespace simulator::kernels
