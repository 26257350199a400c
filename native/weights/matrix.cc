#include "matrix.h"

namespace tensorrt_node::weights {

std::int64_t Matrix::rows() const noexcept {
  std::int64_t sum = 0;
  for (const Piece& piece : pieces) sum += piece.rows;
  return sum;
}

std::uint64_t Matrix::bytes() const noexcept {
  return static_cast<std::uint64_t>(rows() * columns) * elementBytes(type);
}

std::uint64_t elementBytes(kernels::ElementType type) noexcept {
  return type == kernels::ElementType::float32 ? 4 : 2;
}

}  // namespace tensorrt_node::weights
