// The numbers of rows that steps are captured for: the rows between are padding.
#pragma once

#include <cstdint>
#include <vector>

namespace tensorrt_node::decode {

class RowSizes {
 public:
  // Powers of two from `least` on, and `most` in place of the last of them; none where `most` is smaller.
  RowSizes(std::int32_t least, std::int32_t most);

  // The smallest that holds so many rows; 0 where none does.
  std::int32_t holding(std::int32_t rows) const noexcept;

  // The largest first.
  auto begin() const noexcept { return sizes_.rbegin(); }
  auto end() const noexcept { return sizes_.rend(); }
  std::size_t size() const noexcept { return sizes_.size(); }

 private:
  std::vector<std::int32_t> sizes_;
};

}  // namespace tensorrt_node::decode
