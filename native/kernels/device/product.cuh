// What products have in common at their ends.
#pragma once

#include "../parameters.h"
#include "element.cuh"

namespace tensorrt_node::kernels {

template <typename T>
__device__ float biased(const LinearParameters& p, int outer, float value) {
  return p.bias == nullptr ? value : value + toFloat(static_cast<const T*>(p.bias)[outer]);
}

template <typename T>
__device__ void write(const LinearParameters& p, std::size_t to, float value) {
  if (p.outputType == ElementType::float32)
    static_cast<float*>(p.y)[to] = value;
  else
    static_cast<T*>(p.y)[to] = fromFloat<T>(value);
}

template <typename T>
__device__ void store(const LinearParameters& p, int row, int column, float value) {
  const std::size_t to = static_cast<std::size_t>(row) * (p.gated == 0 ? p.outer : p.outer / 2) + column;
  if (p.residual != nullptr) value += toFloat(static_cast<const T*>(p.residual)[to]);
  write<T>(p, to, value);
}

}  // namespace tensorrt_node::kernels
