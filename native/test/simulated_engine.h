// Plans and engines straight on the simulated TensorRT's interfaces.
#pragma once

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/stream.h"
#include "onnx_model.h"
#include "simulated.h"
#include "simulator/tensorrt/simulated_tensorrt.h"

namespace test {

struct RecordingLogger final : nvinfer1::ILogger {
  void log(Severity severity, const char* message) noexcept override {
    if (severity <= Severity::kERROR) errors += std::string(message) + "\n";
  }
  std::string errors;
};

// A builder with a network that holds the model. Needs a current context.
struct SimulatedBuild {
  explicit SimulatedBuild(const std::string& model) {
    builder.reset(static_cast<nvinfer1::IBuilder*>(createInferBuilder_INTERNAL(&logger, NV_TENSORRT_VERSION)));
    network.reset(builder->createNetworkV2(0));
    config.reset(builder->createBuilderConfig());
    parser.reset(static_cast<nvonnxparser::IParser*>(
        createNvOnnxParser_INTERNAL(network.get(), &logger, NV_ONNX_PARSER_VERSION)));
    parsed = parser != nullptr && parser->parse(model.data(), model.size());
  }
  explicit SimulatedBuild(const OnnxModel& model) : SimulatedBuild(model.bytes()) {}

  void addProfile(const std::string& input, const std::vector<std::vector<std::int64_t>>& minOptMax) {
    nvinfer1::IOptimizationProfile* profile = builder->createOptimizationProfile();
    for (int select = 0; select < 3; ++select)
      profile->setDimensions(input.c_str(), static_cast<nvinfer1::OptProfileSelector>(select),
                             dims(minOptMax[static_cast<std::size_t>(select)]));
    config->addOptimizationProfile(profile);
  }
  // Empty when the build fails.
  std::string plan() {
    const std::unique_ptr<nvinfer1::IHostMemory> memory(builder->buildSerializedNetwork(*network, *config));
    return memory == nullptr ? std::string() : std::string(static_cast<const char*>(memory->data()), memory->size());
  }

  static nvinfer1::Dims dims(const std::vector<std::int64_t>& sizes) {
    nvinfer1::Dims result{};
    result.nbDims = static_cast<std::int32_t>(sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) result.d[i] = sizes[i];
    return result;
  }

  RecordingLogger logger;
  std::unique_ptr<nvinfer1::IBuilder> builder;
  std::unique_ptr<nvinfer1::INetworkDefinition> network;
  std::unique_ptr<nvinfer1::IBuilderConfig> config;
  std::unique_ptr<nvonnxparser::IParser> parser;
  bool parsed = false;
};

// A plan in memory, with one context.
struct SimulatedEngine {
  explicit SimulatedEngine(const std::string& plan) {
    runtime.reset(static_cast<nvinfer1::IRuntime*>(createInferRuntime_INTERNAL(&logger, NV_TENSORRT_VERSION)));
    engine.reset(runtime->deserializeCudaEngine(plan.data(), plan.size()));
    if (engine != nullptr) context.reset(engine->createExecutionContext());
  }

  RecordingLogger logger;
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  std::unique_ptr<nvinfer1::IExecutionContext> context;
};

// Device memory with values in it.
template <typename Element>
struct DeviceArray {
  explicit DeviceArray(std::size_t elements) : count(elements) {
    CHECK_EQUAL(cuMemAlloc(&address, bytes()), CUDA_SUCCESS);
    CHECK_EQUAL(cuMemHostAlloc(&host, bytes(), 0), CUDA_SUCCESS);
  }
  ~DeviceArray() {
    cuMemFreeHost(host);
    cuMemFree(address);
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  std::size_t bytes() const { return count * sizeof(Element); }
  void* device() const { return reinterpret_cast<void*>(address); }
  void put(const std::vector<Element>& values, const tensorrt_node::cuda::Stream& stream) {
    std::memcpy(host, values.data(), values.size() * sizeof(Element));
    CHECK_EQUAL(cuMemcpyHtoDAsync(address, host, bytes(), stream.handle()), CUDA_SUCCESS);
  }
  std::vector<Element> get(const tensorrt_node::cuda::Stream& stream) {
    CHECK_EQUAL(cuMemcpyDtoHAsync(host, address, bytes(), stream.handle()), CUDA_SUCCESS);
    CHECK_EQUAL(cuStreamSynchronize(stream.handle()), CUDA_SUCCESS);
    const auto* begin = static_cast<const Element*>(host);
    return std::vector<Element>(begin, begin + count);
  }

  std::size_t count;
  CUdeviceptr address = 0;
  void* host = nullptr;
};

inline cudaStream_t cudaStream(const tensorrt_node::cuda::Stream& stream) {
  return reinterpret_cast<cudaStream_t>(stream.handle());
}

}  // namespace test
