// Each block on its own: the codes nearest to the weights.
#pragma once

#include <cstdint>
#include <span>

#include "format.h"
#include "matrix.h"
#include "parallel.h"
#include "scale.h"

namespace tensorrt_node::quantize {

// `importance`, empty or one number for each of `inner`, says how much an error in that column counts. Throws
// std::domain_error that says which row holds a number that is not finite; std::invalid_argument where sizes do not
// fit.
void roundToNearest(const DenseMatrix& matrix, const Format& format, std::span<const float> importance,
                    const QuantizedRows& rows, const Threads& threads);

// What rows stand for. Throws std::invalid_argument.
void readRows(const QuantizedRows& rows, const Format& format, std::int64_t outer, std::int64_t inner,
              std::span<float> values, const Threads& threads);

// Writes one row's codes, scales and zero points at `row` of `rows`. `codes` has `inner` bytes, a code each.
void packRow(const Format& format, std::span<const std::uint8_t> codes, std::span<const Scale> scales, std::int64_t row,
             const QuantizedRows& rows);

// Throws std::invalid_argument unless the format makes sense and `rows` has room for `outer` rows.
void checkRows(const Format& format, std::int64_t outer, std::int64_t inner, const QuantizedRows& rows);

}  // namespace tensorrt_node::quantize
