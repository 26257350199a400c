// Columns scaled up before they are rounded, so that those which are multiplied by large numbers lose less (Lin et al.
// 2023, "AWQ"); what multiplies them is scaled down as much.
#pragma once

#include <cstdint>
#include <span>

#include "format.h"
#include "parallel.h"

namespace tensorrt_node::quantize {

// values[outer, inner] *= factors[inner], column by column.
void scaleColumns(std::span<float> values, std::span<const float> factors, const Threads& threads);

// The squared error of the layer's output, trace(D H D^T) with D = w - round(w * factors) / factors, of every
// `stride`-th row of `values` [outer, inner]. `hessian` is X^T X, whole. Throws std::invalid_argument,
// std::domain_error.
double scaledError(std::span<const float> values, std::span<const float> hessian, std::span<const float> factors,
                   std::int64_t stride, const Format& format, const Threads& threads);

}  // namespace tensorrt_node::quantize
