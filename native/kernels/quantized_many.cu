// Products of many rows with packed weights: by type, codes and their offsets, and tiles of rows of x.
#include "device/quantized_many.cuh"

using namespace tensorrt_node::kernels;

#define QUANTIZED_MANY(name, Type, codes, offsets, columns)                   \
  extern "C" __global__ void __launch_bounds__(quantizedManyThreads, 1)       \
      name##_##columns(const __grid_constant__ QuantizedLinearParameters p) { \
    quantizedMany<Type, CodeType::codes, Offsets::offsets, columns>(p);       \
  }
#define QUANTIZED_MANY_OF_TYPE(type, Type, columns)                                      \
  QUANTIZED_MANY(quantized_many_##type##_uint4_middle, Type, uint4, middle, columns)     \
  QUANTIZED_MANY(quantized_many_##type##_uint4_codes, Type, uint4, codes, columns)       \
  QUANTIZED_MANY(quantized_many_##type##_uint4_floating, Type, uint4, floating, columns) \
  QUANTIZED_MANY(quantized_many_##type##_uint8_middle, Type, uint8, middle, columns)     \
  QUANTIZED_MANY(quantized_many_##type##_uint8_codes, Type, uint8, codes, columns)       \
  QUANTIZED_MANY(quantized_many_##type##_uint8_floating, Type, uint8, floating, columns) \
  QUANTIZED_MANY(quantized_many_##type##_float8_middle, Type, float8, middle, columns)

QUANTIZED_MANY_OF_TYPE(float16, __half, 2)
QUANTIZED_MANY_OF_TYPE(float16, __half, 4)
QUANTIZED_MANY_OF_TYPE(bfloat16, __nv_bfloat16, 2)
QUANTIZED_MANY_OF_TYPE(bfloat16, __nv_bfloat16, 4)
