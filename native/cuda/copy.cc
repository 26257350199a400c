#include "copy.h"

#include <stdexcept>
#include <string>

#include "driver.h"

namespace tensorrt_node::cuda {

namespace {

void checkRange(const char* what, std::size_t offset, std::size_t bytes, std::size_t size) {
  if (offset <= size && bytes <= size - offset) return;
  throw std::out_of_range(std::string(what) + " of a copy: " + std::to_string(bytes) + " bytes at offset " +
                          std::to_string(offset) + " do not fit a block of " + std::to_string(size) + " bytes");
}

// If a use cannot be recorded its stream was waited for, so the other block needs none either.
template <typename To, typename From>
void markUsed(const Stream& stream, To& to, From& from) {
  to.usedBy(stream);
  from.usedBy(stream);
}

}  // namespace

void copyToDevice(const Stream& stream, DeviceBlock& to, std::size_t toOffset, PinnedBlock& from,
                  std::size_t fromOffset, std::size_t bytes) {
  checkRange("destination", toOffset, bytes, to.size());
  checkRange("source", fromOffset, bytes, from.size());
  if (bytes == 0) return;
  const Current current(*stream.context());
  check(driver().cuMemcpyHtoDAsync(to.address() + toOffset, from.data() + fromOffset, bytes, stream.handle()),
        "cuMemcpyHtoDAsync", stream.name());
  markUsed(stream, to, from);
}

void copyToHost(const Stream& stream, PinnedBlock& to, std::size_t toOffset, DeviceBlock& from, std::size_t fromOffset,
                std::size_t bytes) {
  checkRange("destination", toOffset, bytes, to.size());
  checkRange("source", fromOffset, bytes, from.size());
  if (bytes == 0) return;
  const Current current(*stream.context());
  check(driver().cuMemcpyDtoHAsync(to.data() + toOffset, from.address() + fromOffset, bytes, stream.handle()),
        "cuMemcpyDtoHAsync", stream.name());
  markUsed(stream, to, from);
}

void copyOnDevice(const Stream& stream, DeviceBlock& to, std::size_t toOffset, DeviceBlock& from,
                  std::size_t fromOffset, std::size_t bytes) {
  checkRange("destination", toOffset, bytes, to.size());
  checkRange("source", fromOffset, bytes, from.size());
  if (bytes == 0) return;
  const Current current(*stream.context());
  check(driver().cuMemcpyDtoDAsync(to.address() + toOffset, from.address() + fromOffset, bytes, stream.handle()),
        "cuMemcpyDtoDAsync", stream.name());
  markUsed(stream, to, from);
}

void fill(const Stream& stream, DeviceBlock& to, std::size_t offset, std::size_t bytes, std::uint8_t value) {
  checkRange("destination", offset, bytes, to.size());
  if (bytes == 0) return;
  const Current current(*stream.context());
  check(driver().cuMemsetD8Async(to.address() + offset, value, bytes, stream.handle()), "cuMemsetD8Async",
        stream.name());
  to.usedBy(stream);
}

}  // namespace tensorrt_node::cuda
