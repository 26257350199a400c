// Where the matrices of a run lie in its block of weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "matrix.h"

namespace tensorrt_node::weights {

// What engines and kernels are promised of a weight's address.
inline constexpr std::uint64_t weightAlignment = 256;

struct PlacedWeight {
  // Number of the matrix in the model.
  std::size_t weight;
  std::uint64_t offset;
};

struct BlockLayout {
  std::vector<PlacedWeight> weights;
  // A multiple of weightAlignment.
  std::uint64_t bytes = 0;
};

// One after the other, in the order given. Throws std::out_of_range for a number that is none.
BlockLayout layOut(std::span<const Matrix> matrices, std::span<const std::size_t> weights);

}  // namespace tensorrt_node::weights
