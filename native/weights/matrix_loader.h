// Brings matrices from model files to the device or to pinned memory, for one thread.
#pragma once

#include <cuda.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "../cuda/device_pool.h"
#include "../cuda/event.h"
#include "../cuda/pinned_pool.h"
#include "../cuda/stream.h"
#include "../kernels/kernels.h"
#include "../tensorrt/engine.h"
#include "direct_file.h"
#include "host_block.h"
#include "load_job.h"
#include "matrix.h"

namespace tensorrt_node::weights {

// Bytes that loading a matrix reads.
std::uint64_t bytesToRead(const Matrix& matrix) noexcept;

class MatrixLoader {
 public:
  // `chunkBytes` are of each of two pinned buffers. Throws CudaError.
  MatrixLoader(const tensorrt::DeviceMemory& memory, const kernels::Kernels& kernels, LoadJob& job,
               std::size_t chunkBytes);

  // The context must be current. Throw FileError, CudaError, Stopped. What they queue is done after synchronize().
  void toDevice(const Matrix& matrix, CUdeviceptr to);
  void toHost(const Matrix& matrix, const HostBlock& to, std::uint64_t offset);
  void synchronize() { stream_.synchronize(); }

 private:
  struct Chunk {
    cuda::PinnedBlock pinned;
    // The copy out of it.
    std::optional<cuda::Event> copied;
    bool used = false;
  };

  void pack(const Matrix& matrix, CUdeviceptr to);
  void convert(const Matrix& matrix, const Piece& piece, CUdeviceptr to);
  cuda::DeviceBlock staged(const Source& source);
  void copyToDevice(const Source& source, CUdeviceptr to);
  void copyToHost(const Source& source, const HostBlock& to, std::uint64_t offset);
  // A chunk that no copy uses any more.
  Chunk& nextChunk();
  // The source's next bytes, from `offset` on: in the chunk, or where the source has them.
  std::span<const std::byte> read(const Source& source, const DirectFile* file, std::uint64_t offset,
                                  const Chunk& chunk) const;

  const tensorrt::DeviceMemory& memory_;
  const kernels::Kernels& kernels_;
  LoadJob& job_;
  const std::size_t chunkBytes_;
  cuda::Stream stream_;
  std::array<Chunk, 2> chunks_;
  std::size_t turn_ = 0;
};

// One thread's part of what is to be loaded.
using LoadTask = std::function<void(MatrixLoader& loader)>;

// Does the tasks with some threads, each with a loader. Throws what the first that failed threw.
void loadTogether(const tensorrt::DeviceMemory& memory, std::span<const LoadTask> tasks, LoadJob& job, unsigned threads,
                  std::size_t chunkBytes);

}  // namespace tensorrt_node::weights
