// Which form codes of files are packed in, for kernels that take a matrix quantized.
#pragma once

#include <cstdint>

#include "../kernels/quantized_format.h"
#include "matrix.h"

namespace tensorrt_node::weights {

// The form that a quantized piece has on its own, of a matrix that is not gated.
kernels::QuantizedFormat packedAlone(const Piece& piece, std::int64_t columns) noexcept;

// Whether the piece's codes can be rows of a matrix in this form.
bool packsInto(const Piece& piece, std::int64_t columns, const kernels::QuantizedFormat& format) noexcept;

}  // namespace tensorrt_node::weights
