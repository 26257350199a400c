// Sums over a warp and over a block. Every thread takes part and gets the result; the order is fixed.
#pragma once

namespace tensorrt_node::kernels {

template <typename Value, typename Combine>
__device__ Value reduceWarp(Value value, Combine combine) {
  for (int distance = 16; distance > 0; distance /= 2)
    value = combine(value, __shfl_xor_sync(0xFFFFFFFF, value, distance));
  return value;
}

// `scratch` is shared memory for a value a warp, at most 32; good for the next use when this returns.
template <typename Value, typename Combine>
__device__ Value reduceBlock(Value value, Value* scratch, Combine combine) {
  value = reduceWarp(value, combine);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  Value all = scratch[0];
  for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) all = combine(all, scratch[warp]);
  __syncthreads();
  return all;
}

// The sum of the values of this thread and those before it in its warp.
template <typename Value>
__device__ Value scanWarp(Value value) {
  const int lane = threadIdx.x % 32;
  for (int distance = 1; distance < 32; distance *= 2) {
    const Value other = __shfl_up_sync(0xFFFFFFFF, value, distance);
    if (lane >= distance) value += other;
  }
  return value;
}

// And in its block; `scratch` as above.
template <typename Value>
__device__ Value scanBlock(Value value, Value* scratch) {
  const unsigned warp = threadIdx.x / 32;
  value = scanWarp(value);
  if (threadIdx.x % 32 == 31) scratch[warp] = value;
  __syncthreads();
  if (warp == 0) {
    const unsigned lane = threadIdx.x;
    const Value upTo = scanWarp(lane < blockDim.x / 32 ? scratch[lane] : Value{});
    scratch[lane] = upTo;
  }
  __syncthreads();
  if (warp > 0) value += scratch[warp - 1];
  __syncthreads();
  return value;
}

struct Add {
  template <typename Value>
  __device__ Value operator()(Value a, Value b) const {
    return a + b;
  }
};
struct Largest {
  template <typename Value>
  __device__ Value operator()(Value a, Value b) const {
    return a > b ? a : b;
  }
};

}  // namespace tensorrt_node::kernels
