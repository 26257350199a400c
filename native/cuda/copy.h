// Copies queued on a stream, checked against the bounds of both blocks. The host never waits; both blocks learn of the
// use, so they may be dropped right after.
#pragma once

#include <cstddef>
#include <cstdint>

#include "device_pool.h"
#include "pinned_pool.h"
#include "stream.h"

namespace tensorrt_node::cuda {

// All offsets and sizes in bytes. A range outside a block: std::out_of_range, and nothing is queued. Throws CudaError.
void copyToDevice(const Stream& stream, DeviceBlock& to, std::size_t toOffset, PinnedBlock& from,
                  std::size_t fromOffset, std::size_t bytes);
void copyToHost(const Stream& stream, PinnedBlock& to, std::size_t toOffset, DeviceBlock& from, std::size_t fromOffset,
                std::size_t bytes);
void copyOnDevice(const Stream& stream, DeviceBlock& to, std::size_t toOffset, DeviceBlock& from,
                  std::size_t fromOffset, std::size_t bytes);
void fill(const Stream& stream, DeviceBlock& to, std::size_t offset, std::size_t bytes, std::uint8_t value);

}  // namespace tensorrt_node::cuda
