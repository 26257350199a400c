#include "engine.h"

#include <algorithm>
#include <utility>

#include "execution_context.h"
#include "host_memory.h"
#include "inspector.h"
#include "log.h"
#include "refitter.h"

namespace simulated_tensorrt {

namespace {

using nvinfer1::BuilderFlag;

constexpr std::size_t most = 2;

nvinfer1::Dims noDims() {
  nvinfer1::Dims dims{};
  dims.nbDims = -1;
  return dims;
}

}  // namespace

Engine::Engine(Plan plan, DeviceMemory weights, nvinfer1::ILogger& logger)
    : plan_(std::move(plan)),
      weights_(std::move(weights)),
      logger_(logger),
      shapeInputs_(simulated_tensorrt::shapeInputs(plan_.graph)),
      budget_(getStreamableWeightsSize()),
      graph_(std::make_shared<const Graph>(plan_.graph)) {
  mImpl = this;
  for (std::size_t i = 0; i < plan_.graph.nodes.size(); ++i) {
    if (!plan_.graph.nodes[i].plugin) continue;
    try {
      plugins_[i] = restorePlugin(*plan_.graph.nodes[i].plugin);
    } catch (const std::exception& problem) {
      throw PlanError(1, "Serialization", problem.what());
    }
  }
}

Engine::~Engine() {
  if (contexts_ > 0) end("an engine was destroyed before its execution contexts");
}

const Value* Engine::find(const char* tensor) const {
  if (tensor == nullptr) return nullptr;
  for (const auto* values : {&plan_.graph.inputs, &plan_.graph.outputs})
    for (const Value& each : *values)
      if (each.name == tensor) return &each;
  usageError(logger_, "ICudaEngine", std::string("Given invalid tensor name: ") + tensor);
  return nullptr;
}

bool Engine::isInput(const Value& value) const {
  const auto& inputs = plan_.graph.inputs;
  return std::any_of(inputs.begin(), inputs.end(), [&](const Value& each) { return &each == &value; });
}

Range Engine::rangeOf(const Value& input, std::size_t profile) const {
  const auto& shapes = plan_.profiles.at(profile).shapes;
  const auto found = shapes.find(input.name);
  return found == shapes.end() ? Range{input.dims, input.dims, input.dims} : found->second;
}

Infos Engine::largestInputs(std::size_t profile) const {
  Infos inputs;
  for (const Value& each : plan_.graph.inputs) {
    Info info{each.type, rangeOf(each, profile)[most], {}};
    const auto values = plan_.profiles.at(profile).values.find(each.name);
    if (values != plan_.profiles.at(profile).values.end()) {
      Tensor content = makeTensor(each.type, info.dims);
      for (std::size_t i = 0; i < std::min(elementsOf(info.dims), values->second[most].size()); ++i)
        storeInteger(each.type, content.data.data(), i, values->second[most][i]);
      info.value = std::move(content);
    }
    inputs.insert_or_assign(each.name, std::move(info));
  }
  return inputs;
}

ScratchLayout Engine::layoutFor(const Infos& infos) const {
  const Graph& graph = plan_.graph;
  ScratchLayout layout;
  const auto place = [&](std::size_t bytes) {
    return std::exchange(layout.bytes, layout.bytes + (bytes + 255) / 256 * 256);
  };
  const auto placeTensor = [&](const std::string& name) {
    const Info& info = infos.at(name);
    layout.tensors[name] = place(elementsOf(info.dims) * sizeOf(info.type));
  };
  // Something is always needed, so that programs get to provide it.
  place(512);
  for (const Node& node : graph.nodes)
    for (const std::string& output : node.outputs) placeTensor(output);
  if (!hasPlugins(graph)) return layout;
  // Plugins find weights on the device, as everything else.
  for (const auto& [name, weights] : graph.weights) placeTensor(name);
  std::size_t workspace = 0;
  for (const Node& node : graph.nodes)
    if (node.plugin) workspace = std::max(workspace, node.plugin->workspaceBytes);
  layout.workspace = place(workspace);
  return layout;
}

std::shared_ptr<const Graph> Engine::graph() const {
  const std::lock_guard lock(mutex_);
  return graph_;
}

void Engine::refit(Graph graph) {
  const std::lock_guard lock(mutex_);
  graph_ = std::make_shared<const Graph>(std::move(graph));
}

bool Engine::hasAllWeights() const {
  const auto now = graph();
  return std::all_of(now->weights.begin(), now->weights.end(), [](const auto& named) {
    return named.second.data.size() == elementsOf(named.second.dims) * sizeOf(named.second.type);
  });
}

nvinfer1::IHostMemory* Engine::serialize() const noexcept {
  Plan copy = plan_;
  copy.graph = *graph();
  return std::make_unique<HostMemory>(write(copy)).release();
}

nvinfer1::IExecutionContext* Engine::createExecutionContext(
    nvinfer1::ExecutionContextAllocationStrategy strategy) noexcept {
  return ExecutionContext::make(*this, strategy);
}

nvinfer1::IExecutionContext* Engine::createExecutionContextWithoutDeviceMemory() noexcept {
  return ExecutionContext::make(*this, nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED);
}

bool Engine::isRefittable() const noexcept {
  return plan_.has(BuilderFlag::kREFIT) || plan_.has(BuilderFlag::kREFIT_INDIVIDUAL);
}

bool Engine::takesItsOwnWeights() const noexcept {
  return plan_.has(BuilderFlag::kREFIT_IDENTICAL) || plan_.has(BuilderFlag::kSTRIP_PLAN);
}

const Shape* Engine::valuesOf(const char* tensor, int32_t profile, nvinfer1::OptProfileSelector select) const {
  if (tensor == nullptr || profile < 0 || profile >= getNbOptimizationProfiles()) return nullptr;
  const auto& values = plan_.profiles[static_cast<std::size_t>(profile)].values;
  const auto found = values.find(tensor);
  if (found == values.end() || !shapeInputs_.contains(tensor)) return nullptr;
  return &found->second[static_cast<std::size_t>(select)];
}

int32_t const* Engine::getProfileTensorValues(char const* tensor, int32_t profile,
                                              nvinfer1::OptProfileSelector select) const noexcept {
  const Shape* values = valuesOf(tensor, profile, select);
  if (values == nullptr) return nullptr;
  const std::string key =
      std::to_string(profile) + " " + std::to_string(static_cast<int>(select)) + " " + std::string(tensor);
  const std::lock_guard lock(mutex_);
  auto& kept = values_[key];
  if (kept.empty())
    for (const std::int64_t each : *values) kept.push_back(static_cast<std::int32_t>(each));
  return kept.data();
}

int64_t const* Engine::getProfileTensorValuesV2(char const* tensor, int32_t profile,
                                                nvinfer1::OptProfileSelector select) const noexcept {
  since(11, "ICudaEngine", "getProfileTensorValuesV2");
  const Shape* values = valuesOf(tensor, profile, select);
  return values == nullptr ? nullptr : values->data();
}

nvinfer1::IEngineInspector* Engine::createEngineInspector() const noexcept {
  return std::make_unique<Inspector>(*this).release();
}

nvinfer1::Dims Engine::getTensorShape(char const* tensor) const noexcept {
  const Value* found = find(tensor);
  return found == nullptr ? noDims() : dimsOf(found->dims);
}

DataType Engine::getTensorDataType(char const* tensor) const noexcept {
  const Value* found = find(tensor);
  return found == nullptr ? DataType::kFLOAT : found->type;
}

nvinfer1::TensorLocation Engine::getTensorLocation(char const* tensor) const noexcept {
  return isShapeInferenceIO(tensor) ? nvinfer1::TensorLocation::kHOST : nvinfer1::TensorLocation::kDEVICE;
}

bool Engine::isShapeInferenceIO(char const* tensor) const noexcept {
  return find(tensor) != nullptr && shapeInputs_.contains(tensor);
}

nvinfer1::TensorIOMode Engine::getTensorIOMode(char const* tensor) const noexcept {
  const Value* found = find(tensor);
  if (found == nullptr) return nvinfer1::TensorIOMode::kNONE;
  return isInput(*found) ? nvinfer1::TensorIOMode::kINPUT : nvinfer1::TensorIOMode::kOUTPUT;
}

int32_t Engine::getTensorBytesPerComponent(char const* tensor) const noexcept {
  const Value* found = find(tensor);
  return found == nullptr ? -1 : static_cast<int32_t>(sizeOf(found->type));
}

nvinfer1::Dims Engine::getProfileShape(char const* tensor, int32_t profile,
                                       nvinfer1::OptProfileSelector select) const noexcept {
  const Value* found = find(tensor);
  if (found == nullptr || !isInput(*found) || profile < 0 || profile >= getNbOptimizationProfiles()) return noDims();
  return dimsOf(rangeOf(*found, static_cast<std::size_t>(profile))[static_cast<std::size_t>(select)]);
}

char const* Engine::getIOTensorName(int32_t index) const noexcept {
  if (index < 0 || index >= getNbIOTensors()) return nullptr;
  const auto at = static_cast<std::size_t>(index);
  const Graph& graph = plan_.graph;
  return at < graph.inputs.size() ? graph.inputs[at].name.c_str()
                                  : graph.outputs[at - graph.inputs.size()].name.c_str();
}

nvinfer1::IRefitter* Engine::createRefitter(nvinfer1::ILogger& logger) noexcept {
  return Refitter::make(*this, logger);
}

int64_t Engine::getStreamableWeightsSize() const noexcept {
  return plan_.has(BuilderFlag::kWEIGHT_STREAMING) ? static_cast<int64_t>(weightBytes(plan_.graph)) : 0;
}

bool Engine::setWeightStreamingBudgetV2(int64_t bytes) noexcept {
  if (bytes < 0 || contexts_ > 0 || !plan_.has(BuilderFlag::kWEIGHT_STREAMING)) {
    usageError(logger_, "ICudaEngine::setWeightStreamingBudgetV2",
               "Parameter check failed, condition: the engine was built with weight streaming, has no execution "
               "contexts, and the budget is not negative.");
    return false;
  }
  budget_ = std::min(bytes, getStreamableWeightsSize());
  return true;
}

size_t Engine::getDeviceMemorySize() const noexcept {
  return static_cast<size_t>(getDeviceMemorySizeV2());
}

size_t Engine::getDeviceMemorySizeForProfile(int32_t profile) const noexcept {
  return static_cast<size_t>(getDeviceMemorySizeForProfileV2(profile));
}

int64_t Engine::getDeviceMemorySizeV2() const noexcept {
  int64_t bytes = 0;
  for (int32_t i = 0; i < getNbOptimizationProfiles(); ++i) bytes = std::max(bytes, getDeviceMemorySizeForProfileV2(i));
  return bytes;
}

int64_t Engine::getDeviceMemorySizeForProfileV2(int32_t profile) const noexcept {
  if (profile < 0 || profile >= getNbOptimizationProfiles()) return 0;
  return static_cast<int64_t>(
      memoryFor(infer(plan_.graph, largestInputs(static_cast<std::size_t>(profile)), Unknown::largest)));
}

int64_t Engine::getEngineStat(nvinfer1::EngineStat stat) const noexcept {
  since(12, "ICudaEngine", "getEngineStat");
  return stat == nvinfer1::EngineStat::kTOTAL_WEIGHTS_SIZE ? static_cast<int64_t>(weightBytes(plan_.graph)) : 0;
}

}  // namespace simulated_tensorrt
