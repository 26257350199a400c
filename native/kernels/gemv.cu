// Products of the fewest rows with a weight: by type, rows of x, rows of the weight at once (two if it is gated), and
// whether x is normalised.
#include "device/gemv.cuh"

using namespace tensorrt_node::kernels;

#define GEMV(name, Type, rows, vectors, normed)                               \
  extern "C" __global__ void __launch_bounds__(gemvWarps * 32, gemvBlocks)    \
      name##_##rows##_##vectors(const __grid_constant__ LinearParameters p) { \
    gemv<Type, rows, vectors, normed>(p);                                     \
  }
#define GEMV_OF_ROWS(rows, vectors)                        \
  GEMV(gemv_float16, __half, rows, vectors, false)         \
  GEMV(gemv_bfloat16, __nv_bfloat16, rows, vectors, false) \
  GEMV(gemv_norm_float16, __half, rows, vectors, true)     \
  GEMV(gemv_norm_bfloat16, __nv_bfloat16, rows, vectors, true)

GEMV_OF_ROWS(1, 1)
GEMV_OF_ROWS(1, 2)
GEMV_OF_ROWS(2, 1)
GEMV_OF_ROWS(2, 2)
