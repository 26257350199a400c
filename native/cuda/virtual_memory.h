// Device addresses that stay the same while the memory behind them comes and goes, so that captured graphs stay good.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "context.h"

namespace tensorrt_node::cuda {

// A range of addresses, in pieces that each have memory or none. Not for several threads at once.
class VirtualMemory {
 public:
  // Whether the driver has such memory for the device, and gives it: some containers forbid that. Tries it with a
  // little.
  static bool supported(const Context& context) noexcept;

  // Reserves addresses alone. Pieces are of `pieceBytes`, rounded up to what the driver maps at once; the last may be
  // smaller. Throws CudaError, CUDA_ERROR_NOT_SUPPORTED where the driver has no such memory.
  VirtualMemory(std::shared_ptr<const Context> context, std::size_t bytes,
                std::size_t pieceBytes = std::size_t{64} << 20);
  // No queued work may use it any more.
  ~VirtualMemory();
  VirtualMemory(VirtualMemory&& other) noexcept;
  VirtualMemory& operator=(VirtualMemory&& other) noexcept;

  CUdeviceptr address() const noexcept { return address_; }
  // Rounded up to what the driver maps at once.
  std::size_t size() const noexcept { return size_; }
  std::size_t mappedBytes() const noexcept { return mappedBytes_; }

  std::size_t pieces() const noexcept { return handles_.size(); }
  std::size_t pieceOffset(std::size_t piece) const noexcept { return piece * pieceBytes_; }
  std::size_t pieceSize(std::size_t piece) const noexcept;

  // Puts memory behind a piece that has none, with whatever it held before. Throws CudaError,
  // CUDA_ERROR_OUT_OF_MEMORY when the card has no more; the piece is without then.
  void map(std::size_t piece);
  // All pieces that have none; all of those are without again when that fails.
  void map();
  // Gives all memory back. No queued work may use it any more.
  void unmap() noexcept;

 private:
  void unmap(std::size_t piece) noexcept;

  std::shared_ptr<const Context> context_;
  CUdeviceptr address_ = 0;
  std::size_t size_ = 0;
  std::size_t pieceBytes_ = 0;
  std::size_t mappedBytes_ = 0;
  // By piece; 0 for none.
  std::vector<CUmemGenericAllocationHandle> handles_;
};

}  // namespace tensorrt_node::cuda
