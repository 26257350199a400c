// A block of weights in pinned memory: in pieces that fit others' needs once it is gone, or as a whole.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "../cuda/pinned_pool.h"
#include "../cuda/stream.h"

namespace tensorrt_node::weights {

// No copy may be under way when it is destroyed.
class HostBlock {
 public:
  HostBlock() noexcept = default;
  // Throws CudaError, CUDA_ERROR_OUT_OF_MEMORY when no more can be pinned.
  HostBlock(cuda::PinnedPool& pool, std::uint64_t bytes);
  // In one piece, that the device reads where it is, too. Throws likewise.
  static HostBlock whole(cuda::PinnedPool& pool, std::uint64_t bytes);

  std::uint64_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return !pieces_.empty(); }
  // The bytes from `offset` on that lie together, `most` at most.
  std::span<std::byte> at(std::uint64_t offset, std::uint64_t most) const noexcept;
  // Of a whole one, for the device: with unified addressing memory has the same address everywhere.
  CUdeviceptr address() const noexcept { return reinterpret_cast<CUdeviceptr>(pieces_.front().data()); }

 private:
  HostBlock(cuda::PinnedPool& pool, std::uint64_t bytes, std::uint64_t pieceBytes);

  std::vector<cuda::PinnedBlock> pieces_;
  std::uint64_t size_ = 0;
  std::uint64_t pieceBytes_ = 1;
};

// Queue copies of [offset, offset + bytes) of the block. Copies are of 32 MiB at most: others that want the copy engine
// meanwhile, such as a step's tokens, wait for less than a millisecond. Throw CudaError.
void copyToDevice(const cuda::Stream& stream, CUdeviceptr to, const HostBlock& from, std::uint64_t offset,
                  std::uint64_t bytes);
void copyToHost(const cuda::Stream& stream, const HostBlock& to, std::uint64_t offset, CUdeviceptr from,
                std::uint64_t bytes);

}  // namespace tensorrt_node::weights
