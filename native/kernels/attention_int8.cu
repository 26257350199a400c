// Attention over keys and values that are kept as integers of 8 bits.
#include "device/attention_entry.cuh"

TENSORRT_NODE_ATTENTION(int8_float16, Int8Codes<__half>)
TENSORRT_NODE_ATTENTION(int8_bfloat16, Int8Codes<__nv_bfloat16>)
