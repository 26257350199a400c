// The part of CUDA C++ that the kernels use, for a host compiler: included before each of them. Threads of a block take
// turns on one thread of the host (threads.h), blocks run one after the other, and shared memory is static.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "threads.h"

#undef __shared__
#define __shared__ static
#undef __grid_constant__
#define __grid_constant__
#undef __launch_bounds__
#define __launch_bounds__(...)

#define threadIdx (emulated::thread())
#define blockIdx (emulated::block())
#define blockDim (emulated::threads())
#define gridDim (emulated::grid())

template <typename Value>
Value exchanged(Value value, int from) {
  Value result;
  std::memcpy(&result, emulated::exchange(&value, sizeof value)[from].bytes, sizeof result);
  return result;
}

inline void __syncthreads() {
  emulated::wait(0);
}
inline int __syncthreads_or(int predicate) {
  return emulated::wait(predicate);
}
inline void __syncwarp() {
  const char nothing = 0;
  emulated::exchange(&nothing, 1);
}
template <typename Value>
Value __shfl_sync(unsigned, Value value, int from) {
  return exchanged(value, from % 32);
}
template <typename Value>
Value __shfl_xor_sync(unsigned, Value value, int distance) {
  return exchanged(value, emulated::lane() ^ distance);
}
template <typename Value>
Value __shfl_up_sync(unsigned, Value value, int distance) {
  return exchanged(value, emulated::lane() >= distance ? emulated::lane() - distance : emulated::lane());
}
inline unsigned __ballot_sync(unsigned, int predicate) {
  const unsigned char mine = predicate != 0 ? 1 : 0;
  const emulated::Message* all = emulated::exchange(&mine, 1);
  unsigned ballot = 0;
  for (int lane = 0; lane < 32; ++lane) ballot |= static_cast<unsigned>(all[lane].bytes[0]) << lane;
  return ballot;
}

inline int __popc(unsigned value) {
  return __builtin_popcount(value);
}
inline int __ffs(int value) {
  return __builtin_ffs(value);
}
inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
inline int __float2int_rn(float value) {
  return static_cast<int>(std::lrint(value));
}
inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
  const std::uint64_t all = static_cast<std::uint64_t>(high) << 32 | low;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) result |= static_cast<unsigned>(all >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
  return result;
}
inline int atomicAdd(int* to, int value) {
  const int before = *to;
  *to += value;
  return before;
}
inline unsigned atomicOr(unsigned* to, unsigned value) {
  const unsigned before = *to;
  *to |= value;
  return before;
}
inline unsigned atomicInc(unsigned* to, unsigned last) {
  const unsigned before = *to;
  *to = before >= last ? 0 : before + 1;
  return before;
}
inline void __threadfence() {}
template <typename Value>
Value __ldcg(const Value* from) {
  return *from;
}
inline int min(int a, int b) {
  return std::min(a, b);
}
inline int max(int a, int b) {
  return std::max(a, b);
}
inline float rsqrtf(float value) {
  return 1 / std::sqrt(value);
}
