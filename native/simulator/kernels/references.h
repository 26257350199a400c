// The references themselves, a file each; Element is Half or Bfloat.
#pragma once

#include <vector>

#include "kernels/gptq_parameters.h"
#include "kernels/parameters.h"
#include "reference.h"

namespace simulator::kernels {

using namespace tensorrt_node::kernels;

template <typename Element>
void embed(const EmbedParameters& p);
std::vector<Touch> touches(const EmbedParameters& p);

template <typename Element>
void rmsNorm(const RmsNormParameters& p);
std::vector<Touch> touches(const RmsNormParameters& p);

template <typename Element>
void gatedActivation(const GatedActivationParameters& p);
std::vector<Touch> touches(const GatedActivationParameters& p);

template <typename Element>
void linear(const LinearParameters& p);
std::vector<Touch> touches(const LinearParameters& p);

// Writes the new keys and values to their pages.
template <typename Element>
void appendToPages(const AttentionParameters& p);
// Attention over what the pages hold.
template <typename Element>
void attend(const AttentionParameters& p);
std::vector<Touch> touches(const AttentionParameters& p);

void sample(const SampleParameters& p);
std::vector<Touch> touches(const SampleParameters& p);

void beginStep(const BeginStepParameters& p);
std::vector<Touch> touches(const BeginStepParameters& p);

void convert(const ConvertParameters& p);
std::vector<Touch> touches(const ConvertParameters& p);

void dequantize(const DequantizeParameters& p);
std::vector<Touch> touches(const DequantizeParameters& p);

template <typename Element>
void quantizedLinear(const QuantizedLinearParameters& p);
std::vector<Touch> touches(const QuantizedLinearParameters& p);

template <typename Element>
void quantizedEmbed(const QuantizedEmbedParameters& p);
std::vector<Touch> touches(const QuantizedEmbedParameters& p);

template <typename Element>
void unpackQuantized(const QuantizedUnpackParameters& p);
std::vector<Touch> touches(const QuantizedUnpackParameters& p);

// Codes, scales and offsets in one.
void packQuantized(const QuantizedPackParameters& p);
std::vector<Touch> touches(const QuantizedPackParameters& p);

void matrixProduct(const MatrixProductParameters& p);
std::vector<Touch> touches(const MatrixProductParameters& p);

void reverseHessian(const ReverseHessianParameters& p);
std::vector<Touch> touches(const ReverseHessianParameters& p);

void choleskyDiagonal(const CholeskyParameters& p);
void choleskyBelow(const CholeskyParameters& p);
std::vector<Touch> touches(const CholeskyParameters& p);

void unitUpper(const UnitUpperParameters& p);
std::vector<Touch> touches(const UnitUpperParameters& p);

void gptq(const GptqParameters& p);
std::vector<Touch> touches(const GptqParameters& p);

}  // namespace simulator::kernels
