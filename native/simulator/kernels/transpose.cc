// References: matrices of 2-byte elements, transposed.
#include "element.h"
#include "references.h"

namespace simulator::kernels {

void transpose(const TransposeParameters& p) {
  const auto* in = static_cast<const std::uint16_t*>(p.in);
  auto* out = static_cast<std::uint16_t*>(p.out);
  for (std::int32_t i = 0; i < p.rows; ++i)
    for (std::int32_t j = 0; j < p.columns; ++j) out[at(j) * at(p.rows) + at(i)] = in[at(i) * at(p.columns) + at(j)];
}

std::vector<Touch> touches(const TransposeParameters& p) {
  const std::size_t bytes = at(p.rows) * at(p.columns) * 2;
  return {reads(p.in, bytes), writes(p.out, bytes)};
}

}  // namespace simulator::kernels
