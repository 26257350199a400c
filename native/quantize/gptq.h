// GPTQ: each column is rounded so as to make up for the errors of those before it.
#pragma once

#include <cstdint>
#include <span>

#include "format.h"
#include "parallel.h"

namespace tensorrt_node::quantize {

// Weights [outer, inner]; they become those that the codes stand for.
struct GptqWeights {
  std::span<float> values;
  std::int64_t outer = 0;
  std::int64_t inner = 0;
};

/*
 * Minimises |X (w - q)|^2 = |V^T (w - q)|^2 for each row w, column after column (Frantar et al. 2022, "GPTQ"). `factor`
 * is V of `factorize` with V V^T = X^T X + damping. GPTQ takes errors on with rows of the Cholesky factor of the
 * inverse; what they come to is written with V itself (Chee et al. 2023, "QuIP", theorem 6), so that nothing need be
 * inverted: element i of V^T (w - q) has errors up to column i alone, and is zero for q_i = w_i + sum over j < i of
 * V[j, i] (w_j - q_j) / V[i, i]. Each block's scale is chosen, when its first column comes, for the weights made up for
 * the errors so far, with errors weighed by V[i, i]^2, which is what they cost.
 *
 * `order`, empty or a permutation: the columns in the order in which they are rounded, with `factor` of the Hessian so
 * permuted; scales are then chosen of the weights as they were, so that blocks stay whole. Throws
 * std::invalid_argument, std::domain_error.
 */
void gptq(const GptqWeights& weights, std::span<const float> factor, std::span<const std::int32_t> order,
          const Format& format, const QuantizedRows& rows, const Threads& threads);

}  // namespace tensorrt_node::quantize
