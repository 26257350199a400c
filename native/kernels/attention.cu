// Attention over keys and values in pages. Heads that share keys share their reads: a warp's rows are the heads of a
// group, times as many queries as fit.
#include "device/attention_entry.cuh"

TENSORRT_NODE_ATTENTION(float16, PlainCodes<__half>)
TENSORRT_NODE_ATTENTION(bfloat16, PlainCodes<__nv_bfloat16>)
