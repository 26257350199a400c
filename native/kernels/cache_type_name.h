// What types of the cache are called in attributes and requests, as in kvCacheType of loadModel.
#pragma once

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

#include "cache_format.h"

namespace tensorrt_node::kernels {

// In the order of CacheType. 'auto': as the model computes.
constexpr std::array<std::string_view, 3> cacheTypeNames{"auto", "fp8", "int8"};

inline std::string nameOf(CacheType type) {
  return std::string(cacheTypeNames.at(static_cast<std::size_t>(type)));
}

// Throws std::invalid_argument.
inline CacheType cacheTypeNamed(std::string_view name) {
  const auto* const found = std::ranges::find(cacheTypeNames, name);
  if (found == cacheTypeNames.end()) throw std::invalid_argument("a cache's type is 'auto', 'fp8' or 'int8'");
  return static_cast<CacheType>(found - cacheTypeNames.begin());
}

}  // namespace tensorrt_node::kernels
