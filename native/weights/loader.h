// Brings matrices from model files to blocks of their own on the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "../cuda/device_pool.h"
#include "../tensorrt/engine.h"
#include "load_job.h"
#include "matrix.h"

namespace tensorrt_node::weights {

struct LoaderOptions {
  unsigned threads = 4;
  // Bytes of each of a thread's two pinned buffers.
  std::size_t chunkBytes = std::size_t{16} << 20;
};

using OnLoaded = OnStored;

// A block for each matrix, on the device when this returns. Throws FileError, CudaError (what was allocated goes back),
// and Stopped once `stop` was asked for.
std::vector<cuda::DeviceBlock> load(const tensorrt::DeviceMemory& memory, std::span<const Matrix> matrices,
                                    const OnLoaded& onLoaded, std::stop_token stop, const LoaderOptions& options = {});

}  // namespace tensorrt_node::weights
