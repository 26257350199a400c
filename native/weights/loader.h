// Brings matrices from model files to the device: several threads read, each through pinned memory of its own into
// copies on a stream of its own; kernels bring them into the form that engines take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "../cuda/device_pool.h"
#include "../tensorrt/engine.h"
#include "matrix.h"

namespace tensorrt_node::weights {

struct LoaderOptions {
  unsigned threads = 4;
  // Bytes of each of a thread's two pinned buffers.
  std::size_t chunkBytes = std::size_t{16} << 20;
};

// Bytes read and bytes to read. From any of the loader's threads, one at a time.
using OnLoaded = std::function<void(std::uint64_t done, std::uint64_t total)>;

// A block for each matrix, on the device when this returns. Throws FileError, CudaError (what was allocated goes back),
// and Stopped once `stop` was asked for.
std::vector<cuda::DeviceBlock> load(const tensorrt::DeviceMemory& memory, std::span<const Matrix> matrices,
                                    const OnLoaded& onLoaded, std::stop_token stop, const LoaderOptions& options = {});

struct Stopped {};

}  // namespace tensorrt_node::weights
