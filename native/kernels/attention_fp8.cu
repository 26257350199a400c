// Attention over keys and values that are kept as floating-point numbers of 8 bits.
#include "device/attention_entry.cuh"

TENSORRT_NODE_ATTENTION(fp8_float16, Float8Codes<__half>)
TENSORRT_NODE_ATTENTION(fp8_bfloat16, Float8Codes<__nv_bfloat16>)
