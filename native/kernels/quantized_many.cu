// Products of many rows with packed weights: by type, codes and their offsets, tiles of the weight at once, and tiles
// of rows of x.
#include "device/quantized_many.cuh"

using namespace tensorrt_node::kernels;

#define QUANTIZED_MANY(name, Type, codes, offsets, across, columns)                      \
  extern "C" __global__ void __launch_bounds__(quantizedWarps * 32, 2)                   \
      name##_##across##_##columns(const __grid_constant__ QuantizedLinearParameters p) { \
    quantizedMany<Type, CodeType::codes, Offsets::offsets, across, columns>(p);          \
  }
// Codes around their middle are taken by the kernels for integer offsets.
#define QUANTIZED_MANY_OF_TYPE(type, Type, across, columns)                                      \
  QUANTIZED_MANY(quantized_many_##type##_uint4_codes, Type, uint4, codes, across, columns)       \
  QUANTIZED_MANY(quantized_many_##type##_uint4_floating, Type, uint4, floating, across, columns) \
  QUANTIZED_MANY(quantized_many_##type##_uint8_codes, Type, uint8, codes, across, columns)       \
  QUANTIZED_MANY(quantized_many_##type##_uint8_floating, Type, uint8, floating, across, columns) \
  QUANTIZED_MANY(quantized_many_##type##_float8_middle, Type, float8, middle, across, columns)

QUANTIZED_MANY_OF_TYPE(float16, __half, 4, 4)
QUANTIZED_MANY_OF_TYPE(float16, __half, 8, 4)
QUANTIZED_MANY_OF_TYPE(bfloat16, __nv_bfloat16, 4, 4)
QUANTIZED_MANY_OF_TYPE(bfloat16, __nv_bfloat16, 8, 4)
