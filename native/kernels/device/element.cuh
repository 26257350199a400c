// Elements of 16 bits, alone and eight at a time.
#pragma once

#include "intrinsics.cuh"

namespace tensorrt_node::kernels {

__device__ inline float toFloat(__half x) {
  return __half2float(x);
}
__device__ inline float toFloat(__nv_bfloat16 x) {
  return __bfloat162float(x);
}

template <typename T>
__device__ T fromFloat(float x);
template <>
__device__ inline __half fromFloat<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ inline __nv_bfloat16 fromFloat<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

// 16 bytes, the most that a thread reads or writes at once.
template <typename T>
union Vector {
  uint4 bits;
  T elements[8];

  __device__ Vector() : bits(make_uint4(0, 0, 0, 0)) {}
  __device__ explicit Vector(uint4 from) : bits(from) {}
};

template <typename T>
__device__ Vector<T> loadVector(const T* from) {
  return Vector<T>(*reinterpret_cast<const uint4*>(from));
}
template <typename T>
__device__ void storeVector(T* to, const Vector<T>& vector) {
  *reinterpret_cast<uint4*>(to) = vector.bits;
}

// Two elements in a register, the first in the low half.
template <typename T>
__device__ std::uint32_t pack(float first, float second) {
  union {
    T elements[2];
    std::uint32_t bits;
  } pair;
  pair.elements[0] = fromFloat<T>(first);
  pair.elements[1] = fromFloat<T>(second);
  return pair.bits;
}
// Four elements.
template <typename T>
__device__ float4 unpack(const uint2& bits) {
  union {
    uint2 bits;
    T elements[4];
  } four{bits};
  return make_float4(toFloat(four.elements[0]), toFloat(four.elements[1]), toFloat(four.elements[2]),
                     toFloat(four.elements[3]));
}

}  // namespace tensorrt_node::kernels
