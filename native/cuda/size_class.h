// How pools round requests up, so that freed memory fits the next request.
#pragma once

#include <bit>
#include <cstddef>
#include <limits>

namespace tensorrt_node::cuda {

// The smallest class that holds `bytes`: multiples of `smallest` (a power of two), at most four to each power of two,
// so that at most a quarter is lost on requests above four times the smallest.
constexpr std::size_t sizeClass(std::size_t bytes, std::size_t smallest) noexcept {
  if (bytes <= smallest) return smallest;
  // No machine has it; the driver will say so.
  constexpr std::size_t half = std::numeric_limits<std::size_t>::max() / 2 + 1;
  if (bytes > half) return half;
  const std::size_t quarter = std::bit_floor(bytes - 1) / 4;
  const std::size_t step = quarter > smallest ? quarter : smallest;
  return (bytes + step - 1) / step * step;
}

}  // namespace tensorrt_node::cuda
