// References: gated linear units (Shazeer 2020).
#include <cmath>
#include <numbers>

#include "element.h"
#include "references.h"

namespace simulator::kernels {

namespace {

float activate(Activation activation, float x) {
  switch (activation) {
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::geluTanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi_v<float>) * (x + 0.044715F * x * x * x)));
    case Activation::geluErf:
      return x / 2 * (1 + std::erf(x / std::numbers::sqrt2_v<float>));
  }
  return std::nanf("");
}

}  // namespace

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
