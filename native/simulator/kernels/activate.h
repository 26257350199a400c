// Activations of gated linear units.
#pragma once

#include <cmath>
#include <numbers>

#include "kernels/parameters.h"

namespace simulator::kernels {

inline float activate(tensorrt_node::kernels::Activation activation, float x) {
  using tensorrt_node::kernels::Activation;
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

}  // namespace simulator::kernels
