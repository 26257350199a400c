// The kernels of gemv.cu for one row in other shapes, for comparison.
#include "device/gemv.cuh"

using namespace tensorrt_node::kernels;

#define VARIANT(name, i, vectors, normed)                                                                  \
  extern "C" __global__ void __launch_bounds__(gemvVariants[i].warps * 32,                                 \
                                               (gemvVariants[i].shared ? 32 : 16) / gemvVariants[i].warps) \
      name##_##vectors##_##i(const __grid_constant__ LinearParameters p) {                                 \
    gemv<__half, 1, vectors, normed, gemvShapeOf(gemvVariants[i], vectors)>(p);                            \
  }
#define VARIANTS(i)                        \
  VARIANT(gemv_float16_1, i, 1, false)     \
  VARIANT(gemv_float16_1, i, 2, false)     \
  VARIANT(gemv_norm_float16_1, i, 1, true) \
  VARIANT(gemv_norm_float16_1, i, 2, true)

VARIANTS(0)
VARIANTS(1)
VARIANTS(2)
VARIANTS(3)
VARIANTS(4)
