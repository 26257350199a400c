// The Hessian of a layer's squared error, X^T X over the rows X that the layer was given: gathered, and factorised for
// `Gptq`. Matrices are [size, size], row-major; of a symmetric one the upper triangle counts until `mirror`.
//
// A GPU can take these two from here: they are what `gptq` spends its time on for wide layers, and nothing else of it
// sees a Hessian.
#pragma once

#include <cstdint>
#include <span>

#include "parallel.h"

namespace tensorrt_node::quantize {

// hessian += rows^T * rows, of `rows` [count, size]. Throws std::domain_error for rows that are not finite.
void addGram(std::span<float> hessian, std::int64_t size, std::span<const float> rows, const Threads& threads);

// Makes the lower triangle equal to the upper one.
void mirror(std::span<float> hessian, std::int64_t size);

// The matrix, whose upper triangle counts, becomes V, upper triangular, with V V^T = hessian + damping * I: Cholesky's
// factorisation begun at the last row, of which n^3 / 3 operations are all that GPTQ needs (see Gptq). Below the
// diagonal it is zero. Throws std::domain_error where the sum is not positive definite.
void factorize(std::span<float> hessian, std::int64_t size, float damping, const Threads& threads);

}  // namespace tensorrt_node::quantize
