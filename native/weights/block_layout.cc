#include "block_layout.h"

#include <stdexcept>
#include <string>

namespace tensorrt_node::weights {

BlockLayout layOut(std::span<const Matrix> matrices, std::span<const std::size_t> weights) {
  BlockLayout layout;
  layout.weights.reserve(weights.size());
  for (const std::size_t weight : weights) {
    if (weight >= matrices.size()) throw std::out_of_range("no weight " + std::to_string(weight));
    layout.weights.push_back({weight, layout.bytes});
    layout.bytes += (matrices[weight].bytes() + weightAlignment - 1) / weightAlignment * weightAlignment;
  }
  return layout;
}

}  // namespace tensorrt_node::weights
