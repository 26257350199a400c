#include "matrix_loader.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "../cuda/driver.h"
#include "convert_piece.h"

namespace tensorrt_node::weights {

namespace {

std::uint64_t bytesOf(const Matrix& matrix, const Piece& piece) noexcept {
  return static_cast<std::uint64_t>(piece.rows * matrix.columns) * elementBytes(matrix.type);
}

// Null for what is in memory already.
std::unique_ptr<const DirectFile> opened(const Source& source) {
  return source.inlined != nullptr ? nullptr : std::make_unique<const DirectFile>(source.path, ::pread);
}

}  // namespace

std::uint64_t bytesToRead(const Matrix& matrix) noexcept {
  std::uint64_t bytes = 0;
  for (const Piece& piece : matrix.pieces) bytes += piece.values.bytes + piece.scales.bytes + piece.zeroPoints.bytes;
  return bytes;
}

MatrixLoader::MatrixLoader(const tensorrt::DeviceMemory& memory, const kernels::Kernels& kernels, LoadJob& job,
                           std::size_t chunkBytes)
    : memory_(memory),
      kernels_(kernels),
      job_(job),
      chunkBytes_(directShare(chunkBytes)),
      stream_(memory.context, "weights") {
  for (Chunk& chunk : chunks_) {
    chunk.pinned = memory.pinned->allocate(directRoom(chunkBytes_));
    chunk.copied.emplace(memory.context);
  }
}

void MatrixLoader::toDevice(const Matrix& matrix, CUdeviceptr to) {
  if (matrix.packed) return pack(matrix, to);
  for (const Piece& piece : matrix.pieces) {
    if (readyAsStored(matrix, piece)) {
      copyToDevice(piece.values, to);
    } else {
      convert(matrix, piece, to);
    }
    to += bytesOf(matrix, piece);
  }
}

void MatrixLoader::toHost(const Matrix& matrix, const HostBlock& to, std::uint64_t offset) {
  if (matrix.packed) {
    const cuda::DeviceBlock made = memory_.device->allocate(static_cast<std::size_t>(matrix.bytes()), stream_);
    pack(matrix, made.address());
    return weights::copyToHost(stream_, to, offset, made.address(), matrix.bytes());
  }
  for (const Piece& piece : matrix.pieces) {
    const std::uint64_t bytes = bytesOf(matrix, piece);
    if (readyAsStored(matrix, piece)) {
      copyToHost(piece.values, to, offset);
    } else {
      cuda::DeviceBlock made = memory_.device->allocate(static_cast<std::size_t>(bytes), stream_);
      convert(matrix, piece, made.address());
      weights::copyToHost(stream_, to, offset, made.address(), bytes);
    }
    offset += bytes;
  }
}

void MatrixLoader::pack(const Matrix& matrix, CUdeviceptr to) {
  clear(stream_, matrix, to);
  for (const Piece& piece : matrix.pieces) convert(matrix, piece, to);
}

void MatrixLoader::convert(const Matrix& matrix, const Piece& piece, CUdeviceptr to) {
  // They go back to the pool in the order of the stream.
  const cuda::DeviceBlock values = staged(piece.values);
  const cuda::DeviceBlock scales = staged(piece.scales);
  const cuda::DeviceBlock zeroPoints = staged(piece.zeroPoints);
  const auto bytes = static_cast<std::size_t>(passingBytes(matrix, piece));
  const cuda::DeviceBlock passing = bytes == 0 ? cuda::DeviceBlock() : memory_.device->allocate(bytes, stream_);
  convertPiece(kernels_, stream_, matrix, piece,
               {.values = values.address(),
                .scales = scales.address(),
                .zeroPoints = zeroPoints.address(),
                .passing = passing.address()},
               to);
}

cuda::DeviceBlock MatrixLoader::staged(const Source& source) {
  if (source.bytes == 0) return {};
  cuda::DeviceBlock block = memory_.device->allocate(static_cast<std::size_t>(source.bytes), stream_);
  copyToDevice(source, block.address());
  return block;
}

void MatrixLoader::copyToDevice(const Source& source, CUdeviceptr to) {
  const std::unique_ptr<const DirectFile> file = opened(source);
  for (std::uint64_t done = 0; done < source.bytes;) {
    Chunk& chunk = nextChunk();
    const std::span<const std::byte> bytes = read(source, file.get(), done, chunk);
    // The driver would make the host wait for memory that is not pinned.
    std::byte* from = chunk.pinned.data();
    if (file == nullptr) {
      std::memcpy(from, bytes.data(), bytes.size());
    } else {
      from += bytes.data() - chunk.pinned.data();
    }
    cuda::check(cuda::driver().cuMemcpyHtoDAsync(to + done, from, bytes.size(), stream_.handle()), "cuMemcpyHtoDAsync",
                stream_.name());
    stream_.record(*chunk.copied);
    chunk.used = true;
    done += bytes.size();
    job_.add(bytes.size());
  }
}

void MatrixLoader::copyToHost(const Source& source, const HostBlock& to, std::uint64_t offset) {
  const std::unique_ptr<const DirectFile> file = opened(source);
  for (std::uint64_t done = 0; done < source.bytes;) {
    const std::span<std::byte> part = to.at(offset + done, std::min<std::uint64_t>(source.bytes - done, chunkBytes_));
    cuda::noteHostAccess(part.data(), part.size(), true);
    if (file == nullptr || !file->readCached(source.offset + done, part)) {
      const std::span<const std::byte> bytes = read(source, file.get(), done, nextChunk());
      std::memcpy(part.data(), bytes.data(), std::min(bytes.size(), part.size()));
    }
    done += part.size();
    job_.add(part.size());
  }
}

MatrixLoader::Chunk& MatrixLoader::nextChunk() {
  Chunk& chunk = chunks_[turn_++ % chunks_.size()];
  if (chunk.used) chunk.copied->wait();
  cuda::noteHostAccess(chunk.pinned.data(), chunk.pinned.size(), true);
  return chunk;
}

std::span<const std::byte> MatrixLoader::read(const Source& source, const DirectFile* file, std::uint64_t offset,
                                              const Chunk& chunk) const {
  const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(source.bytes - offset, chunkBytes_));
  const std::uint64_t from = source.offset + offset;
  if (file == nullptr) return std::span(*source.inlined).subspan(static_cast<std::size_t>(from), bytes);
  const std::span<std::byte> part = chunk.pinned.bytes().first(bytes);
  if (file->readCached(from, part)) return part;
  return file->read(from, bytes, chunk.pinned.bytes());
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
