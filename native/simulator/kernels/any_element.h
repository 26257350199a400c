// Elements whose type only the parameters tell, and codes of 4 and 8 bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "element.h"
#include "kernels/parameters.h"

namespace simulator::kernels {

using tensorrt_node::kernels::ElementType;

inline float loadAny(ElementType type, const void* from, std::size_t index) {
  switch (type) {
    case ElementType::float16:
      return load<Half>(from, index);
    case ElementType::bfloat16:
      return load<Bfloat>(from, index);
    case ElementType::float32:
      return static_cast<const float*>(from)[index];
  }
  return 0;
}

inline void storeAny(ElementType type, void* to, std::size_t index, float value) {
  switch (type) {
    case ElementType::float16:
      return store<Half>(to, index, value);
    case ElementType::bfloat16:
      return store<Bfloat>(to, index, value);
    case ElementType::float32:
      static_cast<float*>(to)[index] = value;
  }
}

inline std::size_t bytesOf(ElementType type) {
  return type == ElementType::float32 ? 4 : 2;
}

// Codes packed from the low bits of each byte on, rows of whole bytes.
inline std::int32_t code(const std::uint8_t* row, std::int32_t bits, std::size_t index) {
  if (bits == 8) return row[index];
  return row[index / 2] >> (index % 2 * 4) & 15;
}

}  // namespace simulator::kernels
