// The kernels of attention for one form of keys and values, to be named by whoever includes this.
#pragma once

#include "attention_decode.cuh"
#include "attention_prefill.cuh"

using namespace tensorrt_node::kernels;

#define TENSORRT_NODE_SIZED_ATTENTION(name, Codes, size)                                 \
  extern "C" __global__ void __launch_bounds__(attentionDecodeWarps(size) * 32)          \
      attention_decode_##name##_##size(const __grid_constant__ AttentionParameters p) {  \
    decode<Codes, size>(p);                                                              \
  }                                                                                      \
  extern "C" __global__ void __launch_bounds__(attentionWarps * 32)                      \
      attention_prefill_##name##_##size(const __grid_constant__ AttentionParameters p) { \
    prefill<Codes, size>(p);                                                             \
  }

#define TENSORRT_NODE_ATTENTION(name, Codes)                                   \
  extern "C" __global__ void __launch_bounds__(attentionAppendThreads)         \
      attention_append_##name(const __grid_constant__ AttentionParameters p) { \
    appendRow<Codes>(p);                                                       \
  }                                                                            \
  TENSORRT_NODE_SIZED_ATTENTION(name, Codes, 64)                               \
  TENSORRT_NODE_SIZED_ATTENTION(name, Codes, 80)                               \
  TENSORRT_NODE_SIZED_ATTENTION(name, Codes, 96)                               \
  TENSORRT_NODE_SIZED_ATTENTION(name, Codes, 128)                              \
  TENSORRT_NODE_SIZED_ATTENTION(name, Codes, 256)
