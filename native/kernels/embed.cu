// Rows of a table, one block each.
#include "device/element.cuh"
#include "geometry.h"
#include "parameters.h"

namespace tensorrt_node::kernels {

template <typename T>
__device__ void embed(const EmbedParameters& p) {
  letSuccessorBegin();
  waitForPredecessor();
  const int token = p.tokens[blockIdx.x];
  const bool known = token >= 0 && token < p.vocabulary;
  const T* from = static_cast<const T*>(p.table) + static_cast<std::size_t>(known ? token : 0) * p.width;
  T* to = static_cast<T*>(p.out) + static_cast<std::size_t>(blockIdx.x) * p.width;
  if (p.width % elementsPerVector == 0) {
    for (int i = threadIdx.x * elementsPerVector; i < p.width; i += embedThreads * elementsPerVector)
      storeVector(to + i, known ? loadVector(from + i) : Vector<T>());
  } else {
    for (int i = threadIdx.x; i < p.width; i += embedThreads) to[i] = known ? from[i] : fromFloat<T>(0);
  }
}

}  // namespace tensorrt_node::kernels

using namespace tensorrt_node::kernels;

extern "C" __global__ void __launch_bounds__(embedThreads) embed_float16(const __grid_constant__ EmbedParameters p) {
  embed<__half>(p);
}
extern "C" __global__ void __launch_bounds__(embedThreads) embed_bfloat16(const __grid_constant__ EmbedParameters p) {
  embed<__nv_bfloat16>(p);
}
