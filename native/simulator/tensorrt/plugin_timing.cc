#include "plugin_timing.h"

#include <cuda.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "device.h"

namespace simulated_tensorrt {

namespace {

// As integers large, as floating-point numbers none.
constexpr unsigned char anything = 0x7f;

void check(CUresult result) {
  if (result != CUDA_SUCCESS)
    throw std::runtime_error("Cuda Runtime (failure " + std::to_string(result) + ") while timing a plugin");
}

class TimingStream {
 public:
  TimingStream() { check(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING)); }
  ~TimingStream() { cuStreamDestroy(stream_); }
  TimingStream(const TimingStream&) = delete;
  TimingStream& operator=(const TimingStream&) = delete;

  CUstream handle() const { return stream_; }

 private:
  CUstream stream_ = nullptr;
};

struct Tensors {
  std::vector<nvinfer1::PluginTensorDesc> descriptions;
  std::vector<DeviceMemory> memory;
  std::vector<void*> addresses;

  void add(DeviceMemory&& bytes) {
    if (bytes.address() == 0) throw std::bad_alloc();
    memory.push_back(std::move(bytes));
    addresses.push_back(reinterpret_cast<void*>(memory.back().address()));
  }
};

Tensors place(const std::vector<nvinfer1::DynamicPluginTensorDesc>& tensors, CUstream stream) {
  Tensors placed;
  for (const auto& each : tensors) {
    placed.descriptions.push_back({each.opt, each.desc.type, each.desc.format, each.desc.scale});
    placed.add(DeviceMemory(std::max<std::size_t>(elementsOf(shapeOf(each.opt)) * sizeOf(each.desc.type), 1)));
    check(cuMemsetD8Async(placed.memory.back().address(), anything, placed.memory.back().bytes(), stream));
  }
  return placed;
}

}  // namespace

void timePlugin(nvinfer1::IPluginV3& plugin, const PluginTensors& tensors, const PluginLayer& layer) {
  const TimingStream stream;
  Tensors inputs = place(tensors.inputs, stream.handle());
  Tensors outputs = place(tensors.outputs, stream.handle());
  Tensors workspace;
  workspace.add(DeviceMemory(std::max<std::size_t>(layer.workspaceBytes, 1)));
  const OwnedPlugin own(plugin.clone());
  if (own == nullptr) throw std::runtime_error("Could not clone plugin " + layer.name);
  nvinfer1::IPluginV3OneRuntime& runtime = runtimeOf(*own);
  const auto in = static_cast<std::int32_t>(inputs.descriptions.size());
  const auto out = static_cast<std::int32_t>(outputs.descriptions.size());
  std::int32_t status = runtime.onShapeChange(inputs.descriptions.data(), in, outputs.descriptions.data(), out);
  if (status == 0)
    status = runtime.enqueue(inputs.descriptions.data(), outputs.descriptions.data(), inputs.addresses.data(),
                             outputs.addresses.data(), workspace.addresses[0],
                             reinterpret_cast<cudaStream_t>(stream.handle()));
  // What was queued uses the memory.
  check(cuStreamSynchronize(stream.handle()));
  if (status != 0) throw std::runtime_error("plugin " + layer.name + " cannot be executed");
}

}  // namespace simulated_tensorrt
