// Copies from and to ordinary memory.
#include "pageable_copy.h"

#include <stdexcept>
#include <string>

#include "../cuda/context.h"
#include "../cuda/driver.h"

namespace tensorrt_node::binding {
namespace {

void checkRange(std::size_t offset, std::size_t bytes, std::size_t size) {
  if (offset <= size && bytes <= size - offset) return;
  throw std::out_of_range(std::to_string(bytes) + " bytes at offset " + std::to_string(offset) +
                          " do not fit a block of " + std::to_string(size) + " bytes");
}

}  // namespace

void copyToDevice(const cuda::Stream& stream, cuda::DeviceBlock& to, std::size_t toOffset,
                  std::span<const std::byte> from) {
  checkRange(toOffset, from.size(), to.size());
  if (from.empty()) return;
  const cuda::Current current(*stream.context());
  cuda::check(cuda::driver().cuMemcpyHtoDAsync(to.address() + toOffset, from.data(), from.size(), stream.handle()),
              "cuMemcpyHtoDAsync", stream.name());
  to.usedBy(stream);
  // Small copies may return before the driver has staged them.
  stream.synchronize();
}

void copyToHost(const cuda::Stream& stream, std::span<std::byte> to, cuda::DeviceBlock& from, std::size_t fromOffset) {
  checkRange(fromOffset, to.size(), from.size());
  if (to.empty()) return;
  const cuda::Current current(*stream.context());
  cuda::check(cuda::driver().cuMemcpyDtoHAsync(to.data(), from.address() + fromOffset, to.size(), stream.handle()),
              "cuMemcpyDtoHAsync", stream.name());
  from.usedBy(stream);
  stream.synchronize();
}

std::span<std::byte> part(std::span<std::byte> whole, std::size_t offset, std::size_t bytes) {
  checkRange(offset, bytes, whole.size());
  return whole.subspan(offset, bytes);
}

}  // namespace tensorrt_node::binding
