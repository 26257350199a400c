// Copies between a device and ordinary memory, which the driver stages through pinned memory of its own: an eighth of
// the speed, and the calling thread waits. On return the ordinary memory is the caller's again.
#pragma once

#include <cstddef>
#include <span>

#include "../cuda/device_pool.h"
#include "../cuda/stream.h"

namespace tensorrt_node::binding {

// The range of `to` or `from` outside its block: std::out_of_range. Throws CudaError.
void copyToDevice(const cuda::Stream& stream, cuda::DeviceBlock& to, std::size_t toOffset,
                  std::span<const std::byte> from);
void copyToHost(const cuda::Stream& stream, std::span<std::byte> to, cuda::DeviceBlock& from, std::size_t fromOffset);

// Part of an ArrayBuffer's bytes. Throws std::out_of_range.
std::span<std::byte> part(std::span<std::byte> whole, std::size_t offset, std::size_t bytes);

}  // namespace tensorrt_node::binding
