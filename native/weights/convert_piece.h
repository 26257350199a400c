// Queues the kernels that bring what model files hold into the form that engines take.
#pragma once

#include <cuda.h>

#include "../cuda/stream.h"
#include "../kernels/kernels.h"
#include "matrix.h"

namespace tensorrt_node::weights {

// Whether the piece's bytes are what is wanted, as they are.
bool readyAsStored(const Matrix& matrix, const Piece& piece) noexcept;
bool readyAsStored(const Matrix& matrix) noexcept;

// Addresses of a piece's sources on the device; scales and zero points 0 where it has none.
struct StoredPiece {
  CUdeviceptr values = 0;
  CUdeviceptr scales = 0;
  CUdeviceptr zeroPoints = 0;
};

// The context must be current. Throws CudaError.
void convertPiece(const kernels::Kernels& kernels, const cuda::Stream& stream, const Matrix& matrix, const Piece& piece,
                  const StoredPiece& stored, CUdeviceptr out);

}  // namespace tensorrt_node::weights
