#include "row_sizes.h"

#include <algorithm>

namespace tensorrt_node::decode {

RowSizes::RowSizes(std::int32_t least, std::int32_t most) {
  if (most < least) return;
  for (std::int32_t size = least; size < most; size *= 2) sizes_.push_back(size);
  sizes_.push_back(most);
}

std::int32_t RowSizes::holding(std::int32_t rows) const noexcept {
  const auto found = std::lower_bound(sizes_.begin(), sizes_.end(), rows);
  return found == sizes_.end() ? 0 : *found;
}

}  // namespace tensorrt_node::decode
