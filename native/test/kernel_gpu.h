// The simulated device, for tests of the kernels' launchers.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "cuda/device_pool.h"
#include "kernels/kernels.h"
#include "simulated.h"

namespace test {

// A device with its kernels; memory is written and read between waits.
struct Gpu {
  std::shared_ptr<const tensorrt_node::cuda::Context> context = test::context();
  std::shared_ptr<const tensorrt_node::kernels::Kernels> kernels = tensorrt_node::kernels::Kernels::of(context);
  tensorrt_node::cuda::Stream stream{context, "kernels"};
  tensorrt_node::cuda::DevicePool pool{context};
  std::vector<tensorrt_node::cuda::DeviceBlock> blocks;
  tensorrt_node::cuda::Current current{*context};

  void* empty(std::size_t bytes) {
    blocks.push_back(pool.allocate(bytes, stream));
    return reinterpret_cast<void*>(blocks.back().address());
  }
  // The simulated device's memory is the host's.
  template <typename Value>
  Value* put(const std::vector<Value>& values) {
    auto* memory = static_cast<Value*>(empty(values.size() * sizeof(Value)));
    std::memcpy(memory, values.data(), values.size() * sizeof(Value));
    return memory;
  }
  template <typename Value>
  std::vector<Value> take(const void* from, std::size_t count) {
    stream.synchronize();
    const auto* values = static_cast<const Value*>(from);
    return {values, values + count};
  }
};

}  // namespace test
