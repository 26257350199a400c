// Root mean square normalisation, one block a row, which is kept in registers between the sum and the product.
#include "device/element.cuh"
#include "device/reduce.cuh"
#include "geometry.h"
#include "parameters.h"

namespace tensorrt_node::kernels {

template <typename T>
__device__ float factorOf(const RmsNormParameters& p, float squares) {
  __shared__ float scratch[32];
  return rsqrtf(reduceBlock(squares, scratch, Add{}) / static_cast<float>(p.width) + p.epsilon);
}

template <typename T>
__device__ void normVectors(const RmsNormParameters& p, std::size_t row) {
  float sum[rmsNormVectors][8];
  float squares = 0;
#pragma unroll
  for (int v = 0; v < rmsNormVectors; ++v) {
    const int i = (threadIdx.x + v * blockDim.x) * elementsPerVector;
    if (i >= p.width) continue;
    const Vector<T> x = loadVector(static_cast<const T*>(p.x) + row + i);
    Vector<T> skip;
    if (p.skip != nullptr) skip = loadVector(static_cast<const T*>(p.skip) + row + i);
    Vector<T> rounded;
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      sum[v][e] = toFloat(x.elements[e]) + (p.skip != nullptr ? toFloat(skip.elements[e]) : 0);
      squares += sum[v][e] * sum[v][e];
      rounded.elements[e] = fromFloat<T>(sum[v][e]);
    }
    if (p.sum != nullptr) storeVector(static_cast<T*>(p.sum) + row + i, rounded);
  }
  const float factor = factorOf<T>(p, squares);
#pragma unroll
  for (int v = 0; v < rmsNormVectors; ++v) {
    const int i = (threadIdx.x + v * blockDim.x) * elementsPerVector;
    if (i >= p.width) continue;
    const Vector<T> weight = loadVector(static_cast<const T*>(p.weight) + i);
    Vector<T> y;
#pragma unroll
    for (int e = 0; e < 8; ++e) y.elements[e] = fromFloat<T>(sum[v][e] * factor * toFloat(weight.elements[e]));
    storeVector(static_cast<T*>(p.y) + row + i, y);
  }
}

// Widths that are no whole vectors, or more than a block keeps: an element at a time, read twice. Sums may be written
// over what they are made of, so they are written last.
template <typename T>
__device__ void normElements(const RmsNormParameters& p, std::size_t row) {
  const auto sumAt = [&](int i) {
    const float skip = p.skip != nullptr ? toFloat(static_cast<const T*>(p.skip)[row + i]) : 0;
    return toFloat(static_cast<const T*>(p.x)[row + i]) + skip;
  };
  float squares = 0;
  for (int i = threadIdx.x; i < p.width; i += blockDim.x) squares += sumAt(i) * sumAt(i);
  const float factor = factorOf<T>(p, squares);
  for (int i = threadIdx.x; i < p.width; i += blockDim.x) {
    const float sum = sumAt(i);
    static_cast<T*>(p.y)[row + i] = fromFloat<T>(sum * factor * toFloat(static_cast<const T*>(p.weight)[i]));
    if (p.sum != nullptr) static_cast<T*>(p.sum)[row + i] = fromFloat<T>(sum);
  }
}

template <typename T>
__device__ void norm(const RmsNormParameters& p) {
  letSuccessorBegin();
  waitForPredecessor();
  const std::size_t row = static_cast<std::size_t>(blockIdx.x) * p.width;
  if (p.width % elementsPerVector == 0 && p.width <= elementsPerVector * rmsNormVectors * static_cast<int>(blockDim.x))
    normVectors<T>(p, row);
  else
    normElements<T>(p, row);
}

}  // namespace tensorrt_node::kernels

using namespace tensorrt_node::kernels;

extern "C" __global__ void __launch_bounds__(rmsNormMaxThreads)
    rms_norm_float16(const __grid_constant__ RmsNormParameters p) {
  norm<__half>(p);
}
extern "C" __global__ void __launch_bounds__(rmsNormMaxThreads)
    rms_norm_bfloat16(const __grid_constant__ RmsNormParameters p) {
  norm<__nv_bfloat16>(p);
}
