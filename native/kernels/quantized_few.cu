// Products of few rows with packed weights: by type, codes and their offsets, and rows of x at most.
#include "device/quantized_few.cuh"

using namespace tensorrt_node::kernels;

#define QUANTIZED_FEW(name, Type, codes, offsets, rows)                                    \
  extern "C" __global__ void __launch_bounds__(quantizedFewWarps * 32, quantizedFewBlocks) \
      name##_##rows(const __grid_constant__ QuantizedLinearParameters p) {                 \
    quantizedFew<Type, CodeType::codes, Offsets::offsets, rows>(p);                        \
  }
#define QUANTIZED_FEW_OF_TYPE(type, Type, rows)                                     \
  QUANTIZED_FEW(quantized_few_##type##_uint4_middle, Type, uint4, middle, rows)     \
  QUANTIZED_FEW(quantized_few_##type##_uint4_codes, Type, uint4, codes, rows)       \
  QUANTIZED_FEW(quantized_few_##type##_uint4_floating, Type, uint4, floating, rows) \
  QUANTIZED_FEW(quantized_few_##type##_uint8_middle, Type, uint8, middle, rows)     \
  QUANTIZED_FEW(quantized_few_##type##_uint8_codes, Type, uint8, codes, rows)       \
  QUANTIZED_FEW(quantized_few_##type##_uint8_floating, Type, uint8, floating, rows) \
  QUANTIZED_FEW(quantized_few_##type##_float8_middle, Type, float8, middle, rows)

QUANTIZED_FEW_OF_TYPE(float16, __half, 1)
QUANTIZED_FEW_OF_TYPE(float16, __half, 8)
QUANTIZED_FEW_OF_TYPE(bfloat16, __nv_bfloat16, 1)
QUANTIZED_FEW_OF_TYPE(bfloat16, __nv_bfloat16, 8)
