#include "page_memory.h"

#include <algorithm>

#include "../../cuda/context.h"
#include "../../cuda/driver.h"
#include "../../cuda/error.h"

namespace tensorrt_node::decode {
namespace {

constexpr std::size_t at(std::int32_t index) noexcept {
  return static_cast<std::size_t>(index);
}

}  // namespace

PageMemory::PageMemory(const tensorrt::DeviceMemory& memory, const PageShape& shape, const cuda::Stream& stream)
    : pools_(memory),
      shape_(shape),
      stream_(stream.share()),
      memory_(memory, 2 * at(shape.layers) * at(shape.pages) * shape.pageBytes) {}

CUdeviceptr PageMemory::address(std::int32_t layer, std::int32_t side) const noexcept {
  return sideAddress(2 * at(layer) + at(side));
}

CUdeviceptr PageMemory::sideAddress(std::size_t side) const noexcept {
  return memory_.address() + side * at(shape_.pages) * shape_.pageBytes;
}

void PageMemory::copy(Page from, Page to) {
  const cuda::Current current(*pools_.context);
  const std::size_t bytes = shape_.pageBytes;
  for (std::size_t side = 0; side < sides(); ++side) {
    const CUdeviceptr pages = sideAddress(side);
    cuda::check(
        cuda::driver().cuMemcpyDtoDAsync(pages + at(to) * bytes, pages + at(from) * bytes, bytes, stream_.handle()),
        "cuMemcpyDtoDAsync", "a page of keys and values");
  }
}

template <typename Copy>
void PageMemory::forEachRange(std::size_t side, Copy copy) const {
  std::size_t offset = 0;
  for (const Range& range : savedRanges_) {
    const std::size_t bytes = at(range.count) * shape_.pageBytes;
    copy(sideAddress(side) + at(range.first) * shape_.pageBytes, saved_[side].data() + offset, bytes);
    offset += bytes;
  }
}

bool PageMemory::save(std::span<const Page> pages) {
  forget();
  if (pages.empty()) return true;
  std::vector<Page> sorted(pages.begin(), pages.end());
  std::ranges::sort(sorted);
  for (const Page page : sorted) {
    if (!savedRanges_.empty() && savedRanges_.back().first + savedRanges_.back().count == page) {
      ++savedRanges_.back().count;
    } else {
      savedRanges_.push_back({page, 1});
    }
  }
  try {
    for (std::size_t side = 0; side < sides(); ++side)
      saved_.push_back(pools_.pinned->allocate(sorted.size() * shape_.pageBytes));
  } catch (const cuda::CudaError& error) {
    if (error.result() != CUDA_ERROR_OUT_OF_MEMORY) throw;
    forget();
    return false;
  }
  const cuda::Current current(*pools_.context);
  for (std::size_t side = 0; side < sides(); ++side) {
    forEachRange(side, [&](CUdeviceptr from, std::byte* to, std::size_t bytes) {
      cuda::check(cuda::driver().cuMemcpyDtoHAsync(to, from, bytes, stream_.handle()), "cuMemcpyDtoHAsync",
                  "pages of keys and values");
    });
    saved_[side].usedBy(stream_);
  }
  return true;
}

void PageMemory::forget() noexcept {
  savedRanges_.clear();
  saved_.clear();
}

void PageMemory::restore() {
  const cuda::Current current(*pools_.context);
  for (std::size_t side = 0; side < saved_.size(); ++side) {
    forEachRange(side, [&](CUdeviceptr to, std::byte* from, std::size_t bytes) {
      cuda::check(cuda::driver().cuMemcpyHtoDAsync(to, from, bytes, stream_.handle()), "cuMemcpyHtoDAsync",
                  "pages of keys and values");
    });
    saved_[side].usedBy(stream_);
  }
  forget();
}

std::uint64_t PageMemory::savedBytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const cuda::PinnedBlock& block : saved_) bytes += block.size();
  return bytes;
}

}  // namespace tensorrt_node::decode
