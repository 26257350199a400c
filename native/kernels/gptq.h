// Queues what GPTQ computes on the GPU on a stream of the current context: Hessians of calibration inputs, their
// factors, and codes. All throw CudaError, and invalid_argument for sizes that no kernel was made for; nothing waits.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "gptq_parameters.h"
#include "kernels.h"

namespace tensorrt_node::kernels {

void matrixProduct(const Kernels& kernels, CUstream stream, const MatrixProductParameters& parameters);

// hessian += transpose(inputs) * inputs, of its lower triangle; `first`: hessian = that. inputs [rows, size].
void addToHessian(const Kernels& kernels, CUstream stream, const float* inputs, std::int32_t rows, std::int32_t size,
                  float* hessian, bool first);

// Of a Hessian [size, size], of which the lower triangle is there: U [size, size] of U * D * transpose(U), unit upper
// triangular, above the diagonal, in place of it. `damping`, of the diagonal's mean, is added to the diagonal first.
// `factor` [size, size] and `diagonal` [size] are room for it. `failures`, 0 before, is raised where the Hessian is not
// positive definite all the same.
void factorHessian(const Kernels& kernels, CUstream stream, float* hessian, float* factor, float* diagonal,
                   std::int32_t size, float damping, std::int32_t* failures);

// All columns: `first` counts nothing, and targets are the weights before.
void gptq(const Kernels& kernels, CUstream stream, const GptqParameters& parameters);

}  // namespace tensorrt_node::kernels
