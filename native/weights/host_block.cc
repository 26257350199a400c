#include "host_block.h"

#include <algorithm>

#include "../cuda/driver.h"

namespace tensorrt_node::weights {

namespace {

// A size class of its own, so nothing is lost to rounding but in the last piece.
constexpr std::uint64_t usualPieceBytes = std::uint64_t{32} << 20;

}  // namespace

HostBlock::HostBlock(cuda::PinnedPool& pool, std::uint64_t bytes) : HostBlock(pool, bytes, usualPieceBytes) {}

HostBlock HostBlock::whole(cuda::PinnedPool& pool, std::uint64_t bytes) {
  return {pool, bytes, bytes};
}

HostBlock::HostBlock(cuda::PinnedPool& pool, std::uint64_t bytes, std::uint64_t pieceBytes)
    : size_(bytes), pieceBytes_(pieceBytes) {
  pieces_.reserve(static_cast<std::size_t>((bytes + pieceBytes - 1) / pieceBytes));
  for (std::uint64_t done = 0; done < bytes; done += pieceBytes)
    pieces_.push_back(pool.allocate(static_cast<std::size_t>(std::min(pieceBytes, bytes - done))));
}

std::span<std::byte> HostBlock::at(std::uint64_t offset, std::uint64_t most) const noexcept {
  const std::span<std::byte> piece = pieces_[static_cast<std::size_t>(offset / pieceBytes_)].bytes();
  const auto begin = static_cast<std::size_t>(offset % pieceBytes_);
  return piece.subspan(begin, static_cast<std::size_t>(std::min<std::uint64_t>(most, piece.size() - begin)));
}

void copyToDevice(const cuda::Stream& stream, CUdeviceptr to, const HostBlock& from, std::uint64_t offset,
                  std::uint64_t bytes) {
  const cuda::Current current(*stream.context());
  for (std::uint64_t done = 0; done < bytes;) {
    const std::span<std::byte> part = from.at(offset + done, bytes - done);
    cuda::check(cuda::driver().cuMemcpyHtoDAsync(to + done, part.data(), part.size(), stream.handle()),
                "cuMemcpyHtoDAsync", stream.name());
    done += part.size();
  }
}

void copyToHost(const cuda::Stream& stream, const HostBlock& to, std::uint64_t offset, CUdeviceptr from,
                std::uint64_t bytes) {
  const cuda::Current current(*stream.context());
  for (std::uint64_t done = 0; done < bytes;) {
    const std::span<std::byte> part = to.at(offset + done, bytes - done);
    cuda::check(cuda::driver().cuMemcpyDtoHAsync(part.data(), from + done, part.size(), stream.handle()),
                "cuMemcpyDtoHAsync", stream.name());
    done += part.size();
  }
}

}  // namespace tensorrt_node::weights
