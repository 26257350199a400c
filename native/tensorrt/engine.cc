#include "engine.h"

#include <NvInfer.h>

#include <utility>

#include "../cuda/error.h"
#include "error.h"
#include "failure.h"
#include "plugins.h"
#include "refitter.h"

namespace tensorrt_node::tensorrt {
namespace {

const char* name(nvinfer1::HardwareCompatibilityLevel level) noexcept {
  switch (level) {
    case nvinfer1::HardwareCompatibilityLevel::kAMPERE_PLUS:
      return "ampere-plus";
    case nvinfer1::HardwareCompatibilityLevel::kSAME_COMPUTE_CAPABILITY:
      return "same-compute-capability";
    case nvinfer1::HardwareCompatibilityLevel::kNONE:
      break;
  }
  return "none";
}

// What TensorRT's own allocations left of the device may lie idle in our pool.
template <typename Make>
auto withRetry(const DeviceMemory& memory, Make make) -> decltype(make()) {
  auto made = make();
  if (made == nullptr && memory.device->trim() > 0) made = make();
  return made;
}

}  // namespace

Engine::Engine(Libraries libraries, DeviceMemory memory)
    : libraries_(std::move(libraries)), memory_(std::move(memory)) {}

Engine::~Engine() {
  const cuda::Current current(*memory_.context, std::nothrow);
  engine_.reset();
  runtime_.reset();
}

std::shared_ptr<const Engine> Engine::load(Libraries libraries, DeviceMemory memory, std::span<const std::byte> plan,
                                           const EngineOptions& options) {
  const std::shared_ptr<Engine> made(new Engine(std::move(libraries), std::move(memory)));
  Engine& self = *made;
  const cuda::Current current(*self.memory_.context);
  const LogCapture log;

  const Version version = self.libraries_.version();
  auto* const create = self.libraries_.infer<decltype(createInferRuntime_INTERNAL)>("createInferRuntime_INTERNAL");
  self.runtime_.reset(static_cast<nvinfer1::IRuntime*>(
      create(&Logger::instance(), version.major * 10000 + version.minor * 100 + version.patch)));
  if (self.runtime_ == nullptr) throwFailure("createInferRuntime", log, "TensorRT does not start");
  // Plans that run on later versions carry their runtime with them.
  self.runtime_->setEngineHostCodeAllowed(true);

  registerPlugins(self.libraries_);
  self.engine_ = withRetry(self.memory_, [&] {
    return std::unique_ptr<nvinfer1::ICudaEngine>(self.runtime_->deserializeCudaEngine(plan.data(), plan.size()));
  });
  if (self.engine_ == nullptr)
    throwFailure("deserializeCudaEngine", log, "TensorRT " + version.text() + " refuses the plan",
                 "a plan runs on the TensorRT version and the kind of GPU that it was built with: build it again here");
  if (options.refitFrom) refitFromOnnx(self.libraries_, *self.engine_, *options.refitFrom);

  const nvinfer1::ICudaEngine& engine = *self.engine_;
  EngineInfo& info = self.info_;
  info.streamableWeightsBytes = engine.getStreamableWeightsSize();
  if (options.weightStreamingBudget) {
    if (info.streamableWeightsBytes == 0)
      throw TensorrtError("setWeightStreamingBudgetV2", "the plan has no weights that can be streamed",
                          "build it with weight streaming, or load it without a budget");
    if (!self.engine_->setWeightStreamingBudgetV2(*options.weightStreamingBudget))
      throwFailure("setWeightStreamingBudgetV2", log,
                   "TensorRT refuses a budget of " + std::to_string(*options.weightStreamingBudget) + " bytes for " +
                       std::to_string(info.streamableWeightsBytes) + " bytes of weights");
    self.streamsWeights_ = *options.weightStreamingBudget < info.streamableWeightsBytes;
  }
  const char* const engineName = engine.getName();
  info.name = engineName == nullptr ? "" : engineName;
  const bool valuesV2 = version.minor >= 11;
  info.tensors = describeTensors(engine, valuesV2);
  info.profiles = engine.getNbOptimizationProfiles();
  info.layers = engine.getNbLayers();
  info.deviceMemoryBytes = engine.getDeviceMemorySizeV2();
  info.refittable = engine.isRefittable();
  info.hardwareCompatibility = tensorrt::name(engine.getHardwareCompatibilityLevel());
  for (const TensorInfo& tensor : info.tensors) (tensor.input ? self.inputs_ : self.outputs_).push_back(tensor);
  return made;
}

std::string Engine::layerInformation(const nvinfer1::IExecutionContext* context) const {
  const cuda::Current current(*memory_.context);
  const LogCapture log;
  const std::unique_ptr<nvinfer1::IEngineInspector> inspector(engine_->createEngineInspector());
  if (inspector == nullptr) throwFailure("createEngineInspector", log, "the engine cannot be inspected");
  // TensorRT 10.6 tells the layers of all profiles, and breaks off, or ends the process, at those that the context has
  // no shapes for.
  const bool hasAllShapes = context != nullptr && engine_->getNbOptimizationProfiles() == 1;
  if (hasAllShapes && !inspector->setExecutionContext(context))
    throwFailure("IEngineInspector::setExecutionContext", log, "the execution context cannot be inspected");
  const char* const text = inspector->getEngineInformation(nvinfer1::LayerInformationFormat::kJSON);
  if (text == nullptr) throwFailure("getEngineInformation", log, "TensorRT tells nothing of the engine's layers");
  return text;
}

void Engine::refit(const std::string& model) const {
  const cuda::Current current(*memory_.context);
  // Plans stripped without 'refit' take the weights they were built with, and others with undefined results.
  if (!engine_->isRefittable())
    throw TensorrtError("ICudaEngine::isRefittable", "the plan was built without 'refit': its weights are fixed",
                        "build it with refit");
  const std::lock_guard lock(making_);
  ++refits_;
  refitFromOnnx(libraries_, *engine_, model);
}

std::unique_ptr<nvinfer1::IExecutionContext> Engine::createContext(const std::string& name) const {
  const cuda::Current current(*memory_.context);
  const LogCapture log;
  const std::lock_guard lock(making_);
  auto context = withRetry(memory_, [&] {
    return std::unique_ptr<nvinfer1::IExecutionContext>(
        engine_->createExecutionContext(nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED));
  });
  if (context == nullptr) throwFailure("createExecutionContext", log, "TensorRT makes no execution context");
  context->setName(name.c_str());
  return context;
}

void Engine::destroyContext(std::unique_ptr<nvinfer1::IExecutionContext> context) const noexcept {
  const cuda::Current current(*memory_.context, std::nothrow);
  const std::lock_guard lock(making_);
  context.reset();
}

std::int64_t Engine::deviceMemoryBytes(int profile) const {
  return engine_->getDeviceMemorySizeForProfileV2(profile);
}

}  // namespace tensorrt_node::tensorrt
