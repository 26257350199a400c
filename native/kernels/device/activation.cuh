// Activations of gated linear units.
#pragma once

#include "../parameters.h"

namespace tensorrt_node::kernels {

__device__ inline float activate(Activation activation, float x) {
  switch (activation) {
    case Activation::silu:
      return x / (1 + expf(-x));
    case Activation::geluTanh:
      return 0.5F * x * (1 + tanhf(0.7978845608F * (x + 0.044715F * x * x * x)));
    default:
      return 0.5F * x * (1 + erff(x * 0.7071067812F));
  }
}

}  // namespace tensorrt_node::kernels
