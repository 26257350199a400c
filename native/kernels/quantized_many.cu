// Products of many rows with packed weights: by type, codes and their offsets, and tiles of rows of x.
#include "device/quantized_formats.cuh"
#include "device/quantized_many.cuh"

using namespace tensorrt_node::kernels;

#define QUANTIZED_MANY(name, Type, codes, offsets, columns)                   \
  extern "C" __global__ void __launch_bounds__(quantizedManyThreads, 1)       \
      name##_##columns(const __grid_constant__ QuantizedLinearParameters p) { \
    quantizedMany<Type, CodeType::codes, Offsets::offsets, columns>(p);       \
  }

TENSORRT_NODE_QUANTIZED(QUANTIZED_MANY, quantized_many, float16, __half, 2)
TENSORRT_NODE_QUANTIZED(QUANTIZED_MANY, quantized_many, float16, __half, 4)
TENSORRT_NODE_QUANTIZED(QUANTIZED_MANY, quantized_many, bfloat16, __nv_bfloat16, 2)
TENSORRT_NODE_QUANTIZED(QUANTIZED_MANY, quantized_many, bfloat16, __nv_bfloat16, 4)
