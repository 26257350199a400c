#include "virtual_memory.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "driver.h"

namespace tensorrt_node::cuda {

namespace {

CUmemAllocationProp onDevice(int ordinal) noexcept {
  CUmemAllocationProp kind{};
  kind.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  kind.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  kind.location.id = ordinal;
  return kind;
}

std::size_t roundUp(std::size_t bytes, std::size_t unit) noexcept {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

bool VirtualMemory::supported(const Context& context) noexcept {
  const auto* table = driverIfLoaded();
  CUdevice device = 0;
  int value = 0;
  if (table == nullptr || table->cuDeviceGet(&device, context.ordinal()) != CUDA_SUCCESS ||
      table->cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, device) !=
          CUDA_SUCCESS ||
      value == 0)
    return false;
  try {
    VirtualMemory trial(std::shared_ptr<const Context>(std::shared_ptr<void>(), &context), 1, 1);
    trial.map();
    return true;
  } catch (const CudaError& error) {
    // There is such memory, if only there were any.
    return error.result() == CUDA_ERROR_OUT_OF_MEMORY;
  } catch (const std::exception&) {
    return false;
  }
}

VirtualMemory::VirtualMemory(std::shared_ptr<const Context> context, std::size_t bytes, std::size_t pieceBytes)
    : context_(std::move(context)) {
  const Current current(*context_);
  const CUmemAllocationProp kind = onDevice(context_->ordinal());
  std::size_t unit = 0;
  check(driver().cuMemGetAllocationGranularity(&unit, &kind, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED),
        "cuMemGetAllocationGranularity");
  size_ = roundUp(std::max<std::size_t>(bytes, 1), unit);
  pieceBytes_ = roundUp(std::max<std::size_t>(pieceBytes, 1), unit);
  handles_.assign((size_ + pieceBytes_ - 1) / pieceBytes_, 0);
  check(driver().cuMemAddressReserve(&address_, size_, 0, 0, 0), "cuMemAddressReserve",
        std::to_string(size_) + " bytes");
}

VirtualMemory::~VirtualMemory() {
  if (address_ == 0) return;
  unmap();
  const Current current(*context_, std::nothrow);
  // Fails after teardown of the driver, when there is nobody left to tell.
  driver().cuMemAddressFree(address_, size_);
}

VirtualMemory::VirtualMemory(VirtualMemory&& other) noexcept
    : context_(std::move(other.context_)),
      address_(std::exchange(other.address_, 0)),
      size_(std::exchange(other.size_, 0)),
      pieceBytes_(other.pieceBytes_),
      mappedBytes_(std::exchange(other.mappedBytes_, 0)),
      handles_(std::move(other.handles_)) {}

VirtualMemory& VirtualMemory::operator=(VirtualMemory&& other) noexcept {
  std::swap(context_, other.context_);
  std::swap(address_, other.address_);
  std::swap(size_, other.size_);
  std::swap(pieceBytes_, other.pieceBytes_);
  std::swap(mappedBytes_, other.mappedBytes_);
  std::swap(handles_, other.handles_);
  return *this;
}

std::size_t VirtualMemory::pieceSize(std::size_t piece) const noexcept {
  return std::min(pieceBytes_, size_ - pieceOffset(piece));
}

void VirtualMemory::map(std::size_t piece) {
  if (handles_[piece] != 0) return;
  const Current current(*context_);
  const std::size_t bytes = pieceSize(piece);
  const CUdeviceptr at = address_ + pieceOffset(piece);
  const CUmemAllocationProp kind = onDevice(context_->ordinal());
  CUmemGenericAllocationHandle handle = 0;
  check(driver().cuMemCreate(&handle, bytes, &kind, 0), "cuMemCreate", std::to_string(bytes) + " bytes");
  if (const CUresult result = driver().cuMemMap(at, bytes, 0, handle, 0); result != CUDA_SUCCESS) {
    driver().cuMemRelease(handle);
    fail(result, "cuMemMap", std::to_string(bytes) + " bytes");
  }
  handles_[piece] = handle;
  mappedBytes_ += bytes;
  CUmemAccessDesc access{};
  access.location = kind.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  if (const CUresult result = driver().cuMemSetAccess(at, bytes, &access, 1); result != CUDA_SUCCESS) {
    unmap(piece);
    fail(result, "cuMemSetAccess", std::to_string(bytes) + " bytes");
  }
}

void VirtualMemory::map() {
  std::vector<std::size_t> mapped;
  mapped.reserve(pieces());
  try {
    for (std::size_t piece = 0; piece < pieces(); ++piece) {
      if (handles_[piece] != 0) continue;
      map(piece);
      mapped.push_back(piece);
    }
  } catch (...) {
    for (const std::size_t piece : mapped) unmap(piece);
    throw;
  }
}

void VirtualMemory::unmap() noexcept {
  for (std::size_t piece = 0; piece < pieces(); ++piece) unmap(piece);
}

void VirtualMemory::unmap(std::size_t piece) noexcept {
  if (handles_[piece] == 0) return;
  const Current current(*context_, std::nothrow);
  // Neither fails but where the context is lost, and its memory with it.
  driver().cuMemUnmap(address_ + pieceOffset(piece), pieceSize(piece));
  driver().cuMemRelease(std::exchange(handles_[piece], 0));
  mappedBytes_ -= pieceSize(piece);
}

}  // namespace tensorrt_node::cuda
