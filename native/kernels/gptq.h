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

// Of a Hessian [size, size], of which the lower triangle is there: U and D of U * D * transpose(U), unit upper
// triangular, above the diagonal of `upper`, and diagonal [size]. `damping` is added to the diagonal first, and rows
// and columns are put in `order`, if that is not null. `factor` [size, size] is room for it; `upper` may be the
// Hessian. `failures`, 0 before, is raised where the Hessian is not positive definite all the same.
void factorHessian(const Kernels& kernels, CUstream stream, const ReverseHessianParameters& hessian, float* upper,
                   float* diagonal, std::int32_t* failures);

// All columns: `first` counts nothing, and targets are the weights before.
void gptq(const Kernels& kernels, CUstream stream, const GptqParameters& parameters);

}  // namespace tensorrt_node::kernels
