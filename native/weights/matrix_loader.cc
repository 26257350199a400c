#include "matrix_loader.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "../cuda/driver.h"
#include "convert_piece.h"
#include "source_reader.h"

namespace tensorrt_node::weights {

namespace {

std::uint64_t bytesOf(const Matrix& matrix, const Piece& piece) noexcept {
  return static_cast<std::uint64_t>(piece.rows * matrix.columns) * elementBytes(matrix.type);
}

}  // namespace

std::uint64_t bytesToRead(const Matrix& matrix) noexcept {
  std::uint64_t bytes = 0;
  for (const Piece& piece : matrix.pieces) bytes += piece.values.bytes + piece.scales.bytes + piece.zeroPoints.bytes;
  return bytes;
}

MatrixLoader::MatrixLoader(const tensorrt::DeviceMemory& memory, const kernels::Kernels& kernels, LoadJob& job,
                           std::size_t chunkBytes)
    : memory_(memory), kernels_(kernels), job_(job), stream_(memory.context, "weights") {
  for (Chunk& chunk : chunks_) {
    chunk.pinned = memory.pinned->allocate(chunkBytes);
    chunk.copied.emplace(memory.context);
  }
}

void MatrixLoader::toDevice(const Matrix& matrix, CUdeviceptr to) {
  for (const Piece& piece : matrix.pieces) {
    if (readyAsStored(matrix, piece)) {
      copy(piece.values, to);
    } else {
      convert(matrix, piece, to);
    }
    to += bytesOf(matrix, piece);
  }
}

void MatrixLoader::toHost(const Matrix& matrix, const HostBlock& to, std::uint64_t offset) {
  for (const Piece& piece : matrix.pieces) {
    const std::uint64_t bytes = bytesOf(matrix, piece);
    if (readyAsStored(matrix, piece)) {
      SourceReader reader(piece.values);
      for (std::uint64_t done = 0; done < bytes;) {
        // In parts, for the sake of progress.
        const std::span<std::byte> part =
            to.at(offset + done, std::min<std::uint64_t>(bytes - done, chunks_[0].pinned.size()));
        cuda::noteHostAccess(part.data(), part.size(), true);
        const std::size_t got = reader.read(part);
        job_.add(got);
        done += part.size();
      }
    } else {
      cuda::DeviceBlock made = memory_.device->allocate(static_cast<std::size_t>(bytes), stream_);
      convert(matrix, piece, made.address());
      copyToHost(stream_, to, offset, made.address(), bytes);
    }
    offset += bytes;
  }
}

void MatrixLoader::convert(const Matrix& matrix, const Piece& piece, CUdeviceptr to) {
  // They go back to the pool in the order of the stream.
  const cuda::DeviceBlock values = staged(piece.values);
  const cuda::DeviceBlock scales = staged(piece.scales);
  const cuda::DeviceBlock zeroPoints = staged(piece.zeroPoints);
  convertPiece(kernels_, stream_, matrix, piece,
               {.values = values.address(), .scales = scales.address(), .zeroPoints = zeroPoints.address()}, to);
}

cuda::DeviceBlock MatrixLoader::staged(const Source& source) {
  if (source.bytes == 0) return {};
  cuda::DeviceBlock block = memory_.device->allocate(static_cast<std::size_t>(source.bytes), stream_);
  copy(source, block.address());
  return block;
}

void MatrixLoader::copy(const Source& source, CUdeviceptr to) {
  SourceReader reader(source);
  for (std::uint64_t done = 0; done < source.bytes;) {
    Chunk& chunk = chunks_[turn_++ % chunks_.size()];
    if (chunk.used) chunk.copied->wait();
    cuda::noteHostAccess(chunk.pinned.data(), chunk.pinned.size(), true);
    const std::size_t bytes = reader.read(chunk.pinned.bytes());
    cuda::check(cuda::driver().cuMemcpyHtoDAsync(to + done, chunk.pinned.data(), bytes, stream_.handle()),
                "cuMemcpyHtoDAsync", stream_.name());
    stream_.record(*chunk.copied);
    chunk.used = true;
    done += bytes;
    job_.add(bytes);
  }
}

void loadTogether(const tensorrt::DeviceMemory& memory, std::span<const LoadTask> tasks, LoadJob& job, unsigned threads,
                  std::size_t chunkBytes) {
  const std::shared_ptr<const kernels::Kernels> kernels = kernels::Kernels::of(memory.context);
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    try {
      const cuda::Current current(*memory.context);
      MatrixLoader loader(memory, *kernels, job, chunkBytes);
      try {
        for (std::size_t task = next++; task < tasks.size() && !job.failed(); task = next++) tasks[task](loader);
      } catch (...) {
        job.fail(std::current_exception());
      }
      // Also after a failure: what it has queued still uses memory that others are about to free.
      loader.synchronize();
    } catch (...) {
      job.fail(std::current_exception());
    }
  };
  {
    std::vector<std::jthread> workers;
    const std::size_t count = std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(tasks.size(), 1));
    for (std::size_t i = 0; i < count; ++i) workers.emplace_back(work);
  }
  job.rethrow();
}

}  // namespace tensorrt_node::weights
