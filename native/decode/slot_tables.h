// What the kernels of a step read of slots: their pages, states and sampling, in device memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "../cuda/device_pool.h"
#include "../cuda/pinned_pool.h"
#include "../cuda/stream.h"
#include "../kernels/parameters.h"
#include "step_runner.h"

namespace tensorrt_node::decode {

// All work is on one stream. For one thread.
class SlotTables {
 public:
  // Throws CudaError. No slot runs at first.
  SlotTables(const RunnerLimits& limits, const cuda::Stream& stream, std::shared_ptr<cuda::DevicePool> device,
             std::shared_ptr<cuda::PinnedPool> pinned);

  // StepRunner::begin(): queues what the slot begins with. The token that its prompt ends with gives the next one, so
  // its state is at that position and runs. Throws CudaError; std::out_of_range for a slot or pages that there are not.
  void begin(const SlotStart& start);

  // Device addresses that stay as long as this.
  const std::int32_t* pages() const noexcept { return at<std::int32_t>(pages_); }          // [slots, pagesPerSlot]
  kernels::SlotState* states() const noexcept { return at<kernels::SlotState>(states_); }  // [slots]
  const kernels::SlotSampling* sampling() const noexcept {                                 // [slots]
    return at<kernels::SlotSampling>(sampling_);
  }

 private:
  // What a slot's sampling points to; blocks of earlier requests go back to the pool behind the steps that read them.
  struct Lists {
    cuda::DeviceBlock tokens;
    cuda::DeviceBlock counts;
  };

  template <typename Element>
  static Element* at(const cuda::DeviceBlock& block) noexcept {
    return reinterpret_cast<Element*>(block.address());
  }

  const RunnerLimits limits_;
  const cuda::Stream stream_;
  const std::shared_ptr<cuda::DevicePool> device_;
  const std::shared_ptr<cuda::PinnedPool> pinned_;
  cuda::DeviceBlock pages_;
  cuda::DeviceBlock states_;
  cuda::DeviceBlock sampling_;
  std::vector<Lists> lists_;
};

}  // namespace tensorrt_node::decode
