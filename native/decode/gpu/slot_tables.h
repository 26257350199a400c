// What the device knows of slots: their pages, how they choose tokens, and where they are.
#pragma once

#include <cstdint>
#include <vector>

#include "../../cuda/device_pool.h"
#include "../../cuda/stream.h"
#include "../../tensorrt/engine.h"
#include "../step_runner.h"

namespace tensorrt_node::decode {

// For one thread, and one stream.
class SlotTables {
 public:
  SlotTables(const tensorrt::DeviceMemory& memory, const cuda::Stream& stream, const RunnerLimits& limits);

  // Queues what tells the device of it.
  void begin(const SlotStart& start);

  // int32 [slots, pagesPerSlot].
  CUdeviceptr pages() const noexcept { return pages_.address(); }
  // kernels::SlotSampling [slots].
  CUdeviceptr sampling() const noexcept { return sampling_.address(); }
  // kernels::SlotState [slots].
  CUdeviceptr states() const noexcept { return states_.address(); }

 private:
  // Lists that a slot's sampling refers to.
  struct Lists {
    cuda::DeviceBlock tokens;
    cuda::DeviceBlock counts;
  };

  template <typename T>
  void upload(cuda::DeviceBlock& to, std::size_t offset, const T* from, std::size_t count);
  kernels::SlotSampling describe(const SlotStart& start, Lists& lists);
  void count(const SlotStart& start, cuda::DeviceBlock& counts);

  const tensorrt::DeviceMemory& memory_;
  const cuda::Stream& stream_;
  const RunnerLimits limits_;
  cuda::DeviceBlock pages_;
  cuda::DeviceBlock sampling_;
  cuda::DeviceBlock states_;
  std::vector<Lists> lists_;
};

}  // namespace tensorrt_node::decode
