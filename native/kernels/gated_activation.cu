// Gated linear units' activations, eight elements a thread.
#include "device/activation.cuh"
#include "device/element.cuh"
#include "geometry.h"
#include "parameters.h"

namespace tensorrt_node::kernels {

template <typename T>
__device__ void gatedActivation(const GatedActivationParameters& p) {
  letSuccessorBegin();
  waitForPredecessor();
  const int begin = (blockIdx.x * gatedActivationThreads + threadIdx.x) * elementsPerVector;
  if (begin >= p.width) return;
  const std::size_t row = blockIdx.y;
  const T* gate = static_cast<const T*>(p.gateUp) + row * 2 * p.width + begin;
  const T* up = gate + p.width;
  T* y = static_cast<T*>(p.y) + row * p.width + begin;
  if (p.width % elementsPerVector == 0) {
    const Vector<T> gates = loadVector(gate);
    const Vector<T> ups = loadVector(up);
    Vector<T> out;
#pragma unroll
    for (int e = 0; e < 8; ++e)
      out.elements[e] = fromFloat<T>(activate(p.activation, toFloat(gates.elements[e])) * toFloat(ups.elements[e]));
    storeVector(y, out);
  } else {
    for (int e = 0; e < elementsPerVector && begin + e < p.width; ++e)
      y[e] = fromFloat<T>(activate(p.activation, toFloat(gate[e])) * toFloat(up[e]));
  }
}

}  // namespace tensorrt_node::kernels

using namespace tensorrt_node::kernels;

extern "C" __global__ void __launch_bounds__(gatedActivationThreads)
    gated_activation_float16(const __grid_constant__ GatedActivationParameters p) {
  gatedActivation<__half>(p);
}
extern "C" __global__ void __launch_bounds__(gatedActivationThreads)
    gated_activation_bfloat16(const __grid_constant__ GatedActivationParameters p) {
  gatedActivation<__nv_bfloat16>(p);
}
