#include "loader.h"

#include <utility>

#include "../cuda/stream.h"
#include "matrix_loader.h"

namespace tensorrt_node::weights {

std::vector<cuda::DeviceBlock> load(const tensorrt::DeviceMemory& memory, std::span<const Matrix> matrices,
                                    const OnLoaded& onLoaded, std::stop_token stop, const LoaderOptions& options) {
  // Of all at once, so that too little memory shows before anything is read.
  const cuda::Stream home(memory.context, "weights");
  std::vector<cuda::DeviceBlock> blocks;
  std::vector<LoadTask> tasks;
  std::uint64_t total = 0;
  for (const Matrix& matrix : matrices) {
    blocks.push_back(memory.device->allocate(static_cast<std::size_t>(matrix.bytes()), home));
    tasks.push_back([&matrix, to = blocks.back().address()](MatrixLoader& loader) { loader.toDevice(matrix, to); });
    total += bytesToRead(matrix);
  }
  // Blocks may have been others' before: that is over on this stream, and then on any.
  home.synchronize();
  LoadJob job(total, onLoaded, std::move(stop));
  loadTogether(memory, tasks, job, options.threads, options.chunkBytes);
  return blocks;
}

}  // namespace tensorrt_node::weights
