// Queues the kernels that bring what model files hold into the form that engines take.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "../cuda/stream.h"
#include "../kernels/kernels.h"
#include "matrix.h"

namespace tensorrt_node::weights {

// Whether the piece's bytes are what is wanted, as they are.
bool readyAsStored(const Matrix& matrix, const Piece& piece) noexcept;
bool readyAsStored(const Matrix& matrix) noexcept;

// Bytes of memory that floats are made of the piece by way of, packed; 0 where there is a kernel that makes them at
// once, or none are wanted.
std::uint64_t passingBytes(const Matrix& matrix, const Piece& piece) noexcept;

// Addresses of a piece's sources on the device; scales and zero points 0 where it has none.
struct StoredPiece {
  CUdeviceptr values = 0;
  CUdeviceptr scales = 0;
  CUdeviceptr zeroPoints = 0;
  // passingBytes(), for this alone.
  CUdeviceptr passing = 0;
};

// Before the first piece of a packed matrix, whose kernels read more than there are rows and columns. Throws CudaError.
void clear(const cuda::Stream& stream, const Matrix& matrix, CUdeviceptr at);

// `out` is where the piece's rows begin; of a packed matrix, where that does. The context must be current. Throws
// CudaError.
void convertPiece(const kernels::Kernels& kernels, const cuda::Stream& stream, const Matrix& matrix, const Piece& piece,
                  const StoredPiece& stored, CUdeviceptr out);

}  // namespace tensorrt_node::weights
