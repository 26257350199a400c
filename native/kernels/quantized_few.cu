// Products of few rows with packed weights: by type, codes and their offsets, and rows of x at most.
#include "device/quantized_few.cuh"
#include "device/quantized_formats.cuh"

using namespace tensorrt_node::kernels;

#define QUANTIZED_FEW(name, Type, codes, offsets, rows)                                    \
  extern "C" __global__ void __launch_bounds__(quantizedFewWarps * 32, quantizedFewBlocks) \
      name##_##rows(const __grid_constant__ QuantizedLinearParameters p) {                 \
    quantizedFew<Type, CodeType::codes, Offsets::offsets, rows>(p);                        \
  }

TENSORRT_NODE_QUANTIZED(QUANTIZED_FEW, quantized_few, float16, __half, 1)
TENSORRT_NODE_QUANTIZED(QUANTIZED_FEW, quantized_few, float16, __half, 8)
TENSORRT_NODE_QUANTIZED(QUANTIZED_FEW, quantized_few, bfloat16, __nv_bfloat16, 1)
TENSORRT_NODE_QUANTIZED(QUANTIZED_FEW, quantized_few, bfloat16, __nv_bfloat16, 8)
