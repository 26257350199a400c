// Queues kernels on a stream of the current context. All throw CudaError, and invalid_argument for shapes that no
// kernel was made for; nothing waits. Captured in a graph they are nodes like any other.
//
// From compute capability 9.0 on a kernel may begin while the one before it in the stream ends (programmatic dependent
// launch), and waits for it before touching what others write. Weights are read before that: a weight must not be
// written by the kernel right before the linear() that reads it.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>

#include "kernels.h"
#include "parameters.h"

namespace tensorrt_node::kernels {

// `type` is the element type of everything that has no type of its own: float16 or bfloat16.
void embed(const Kernels& kernels, CUstream stream, ElementType type, const EmbedParameters& parameters);
void rmsNorm(const Kernels& kernels, CUstream stream, ElementType type, const RmsNormParameters& parameters);
void gatedActivation(const Kernels& kernels, CUstream stream, ElementType type,
                     const GatedActivationParameters& parameters);
// Rows that have kernels of their own, which read the weight faster. Other rows' sums are in an order that does not
// depend on how many they are.
constexpr int linearFewRows = 2;
// `fewRows`: to have those for fewer rows only, for comparison.
void linear(const Kernels& kernels, CUstream stream, ElementType type, const LinearParameters& parameters,
            int fewRows = linearFewRows);
// With `decode`, what stands for older tokens is read before the kernel right before it has ended: pages, `cache`,
// `pages`, `runSlots` and `positions` must come from copies, or from kernels before or in beginStep().
void attention(const Kernels& kernels, CUstream stream, ElementType type, const AttentionParameters& parameters);
// `slots` is read early too.
void sample(const Kernels& kernels, CUstream stream, const SampleParameters& parameters);

void beginStep(const Kernels& kernels, CUstream stream, const BeginStepParameters& parameters);
void convert(const Kernels& kernels, CUstream stream, const ConvertParameters& parameters);
void dequantize(const Kernels& kernels, CUstream stream, const DequantizeParameters& parameters);

// linear() with a packed weight, and embed() with a packed table. Up to so many rows may have kernels of their own;
// those of more rows are added up in an order that does not depend on how many they are.
constexpr int quantizedFewRows = 8;
void quantizedLinear(const Kernels& kernels, CUstream stream, ElementType type, const LinearParameters& parameters,
                     const QuantizedFormat& format, int fewRows = quantizedFewRows);
void quantizedEmbed(const Kernels& kernels, CUstream stream, ElementType type, const EmbedParameters& parameters,
                    const QuantizedFormat& format);
void packQuantized(const Kernels& kernels, CUstream stream, const PackParameters& parameters);
// `type` is that of what comes out.
void unpackQuantized(const Kernels& kernels, CUstream stream, ElementType type, const UnpackParameters& parameters);

// Head sizes that attention was made for.
bool servesHeadSize(std::int32_t headSize) noexcept;
// Bytes of LinearParameters::workspace; 0 where none is needed. Good for fewer rows as well.
std::size_t linearWorkspaceBytes(std::int32_t rows, std::int32_t inner, bool normed);
// And for quantizedLinear().
std::size_t quantizedWorkspaceBytes(std::int32_t rows, std::int32_t inner, std::int32_t outer, bool normed);
// Bytes of AttentionParameters::workspace; 0 where none is needed. Good for fewer rows and splits as well.
std::size_t attentionWorkspaceBytes(std::int32_t rows, std::int32_t heads, std::int32_t headSize, std::int32_t splits);
// Splits that fill the GPU for decode steps of `rows` rows and contexts up to `tokens`.
std::int32_t attentionSplits(const Kernels& kernels, std::int32_t rows, std::int32_t heads, std::int32_t kvHeads,
                             std::int32_t headSize, std::int32_t tokens);
// Bytes of SampleParameters::workspace.
std::size_t sampleWorkspaceBytes(std::int32_t rows, std::int32_t vocabulary);

}  // namespace tensorrt_node::kernels
