// The forms of weights that products with packed weights are compiled for: of each, `of` makes a kernel by its name,
// the type of its elements, codes and their offsets, and a size.
#pragma once

// clang-format off
#define TENSORRT_NODE_QUANTIZED(of, name, type, Type, size)       \
  of(name##_##type##_uint4_middle, Type, uint4, middle, size)     \
  of(name##_##type##_uint4_codes, Type, uint4, codes, size)       \
  of(name##_##type##_uint4_floating, Type, uint4, floating, size) \
  of(name##_##type##_uint8_middle, Type, uint8, middle, size)     \
  of(name##_##type##_uint8_codes, Type, uint8, codes, size)       \
  of(name##_##type##_uint8_floating, Type, uint8, floating, size) \
  of(name##_##type##_float8_middle, Type, float8, middle, size)
// clang-format on
