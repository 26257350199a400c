#include "execution_context.h"

#include <cuda.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "engine.h"
#include "log.h"

namespace simulated_tensorrt {

namespace {

using nvinfer1::ExecutionContextAllocationStrategy;

constexpr std::size_t least = 0;
constexpr std::size_t most = 2;
constexpr std::uint64_t alignment = 256;

std::size_t bytesOf(const Info& info) {
  return elementsOf(info.dims) * sizeOf(info.type);
}

bool isWithin(const Shape& shape, const Range& range) {
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (i >= range[least].size() || shape[i] < range[least][i] || shape[i] > range[most][i]) return false;
  return shape.size() == range[least].size();
}

// Everything one execution needs, so that it outlives changes to its context.
struct Execution {
  std::shared_ptr<const Graph> graph;
  Infos inputs;
  std::map<std::string, const void*> from;

  Tensors run() const {
    Tensors tensors;
    for (const auto& [name, info] : inputs) {
      Tensor tensor = makeTensor(info.type, info.dims);
      if (info.value) {
        tensor = *info.value;
      } else if (!tensor.data.empty()) {
        std::memcpy(tensor.data.data(), from.at(name), tensor.data.size());
      }
      tensors.insert_or_assign(name, std::move(tensor));
    }
    return simulated_tensorrt::run(*graph, std::move(tensors));
  }
};

// What plugins are given of the context they belong to.
class ResourceContext final : public nvinfer1::IPluginResourceContext {
 public:
  nvinfer1::IGpuAllocator* getGpuAllocator() const noexcept override { return nullptr; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return nullptr; }
};

// Empty, and an error, when one of them refuses.
std::optional<std::map<std::size_t, OwnedPlugin>> attach(const Engine& engine) {
  std::map<std::size_t, OwnedPlugin> attached;
  for (const auto& [node, plugin] : engine.plugins()) {
    ResourceContext resources;
    OwnedPlugin own(runtimeOf(*plugin).attachToContext(&resources));
    if (own == nullptr) {
      error(engine.logger(), "ICudaEngine::createExecutionContext", 2, "Internal Error",
            "Plugin " + engine.plan().graph.nodes[node].plugin->name + " cannot be attached.");
      return std::nullopt;
    }
    attached[node] = std::move(own);
  }
  return attached;
}

nvinfer1::PluginTensorDesc descriptionOf(const Info& info) {
  return {dimsOf(info.dims), info.type, nvinfer1::TensorFormat::kLINEAR, 1};
}

Tensor tensorAt(const Info& info, const void* address) {
  Tensor tensor = makeTensor(info.type, info.dims);
  if (!tensor.data.empty()) std::memcpy(tensor.data.data(), address, tensor.data.size());
  return tensor;
}

void write(const Tensors& results, const std::map<std::string, void*>& to) {
  for (const auto& [name, address] : to) {
    const Tensor& result = results.at(name);
    if (!result.data.empty()) std::memcpy(address, result.data.data(), result.data.size());
  }
}

}  // namespace

nvinfer1::IExecutionContext* ExecutionContext::make(Engine& engine, ExecutionContextAllocationStrategy strategy) {
  constexpr const char* method = "ICudaEngine::createExecutionContext";
  if (settings().failContext || !engine.hasAllWeights()) {
    usageError(engine.logger(), method,
               settings().failContext ? "Assertion failed as the settings wish."
                                      : "The engine was built without weights: refit it before it is executed.");
    return nullptr;
  }
  const bool userManaged = strategy == ExecutionContextAllocationStrategy::kUSER_MANAGED;
  DeviceMemory memory;
  if (!userManaged) {
    const auto bytes = static_cast<std::size_t>(engine.getDeviceMemorySizeV2());
    memory = DeviceMemory(bytes);
    if (memory.address() == 0) {
      error(engine.logger(), method, 2, "OutOfMemory", "Requested size was " + std::to_string(bytes) + " bytes.");
      return nullptr;
    }
  }
  auto plugins = attach(engine);
  if (!plugins) return nullptr;
  return std::make_unique<ExecutionContext>(engine, userManaged, std::move(memory), std::move(*plugins)).release();
}

ExecutionContext::ExecutionContext(Engine& engine, bool userManaged, DeviceMemory memory,
                                   std::map<std::size_t, OwnedPlugin> plugins)
    : engine_(engine), userManaged_(userManaged), memory_(std::move(memory)), plugins_(std::move(plugins)) {
  mImpl = this;
  engine_.contextMade();
}

ExecutionContext::~ExecutionContext() {
  engine_.contextGone();
}

nvinfer1::ICudaEngine const& ExecutionContext::getEngine() const noexcept {
  return engine_;
}

bool ExecutionContext::refuse(const char* method, const std::string& text) const {
  usageError(engine_.logger(), std::string("IExecutionContext::") + method, text);
  return false;
}

void ExecutionContext::setDeviceMemory(void* memory) noexcept {
  setDeviceMemoryV2(memory, engine_.getDeviceMemorySizeForProfileV2(getOptimizationProfile()));
}

void ExecutionContext::setDeviceMemoryV2(void* memory, int64_t size) noexcept {
  if (!userManaged_ || size < 0 || reinterpret_cast<std::uintptr_t>(memory) % alignment != 0) {
    refuse("setDeviceMemoryV2",
           "Parameter check failed, condition: the context has no device memory of its own, and "
           "the memory is aligned to 256 bytes.");
    return;
  }
  userMemory_ = memory;
  userMemoryBytes_ = static_cast<std::size_t>(size);
}

size_t ExecutionContext::updateDeviceMemorySizeForShapes() noexcept {
  const auto known = infos();
  if (!known) return 0;
  return engine_.memoryFor(*known);
}

bool ExecutionContext::setOptimizationProfileAsync(int32_t profile, cudaStream_t) noexcept {
  if (profile < 0 || profile >= engine_.getNbOptimizationProfiles())
    return refuse("setOptimizationProfileAsync",
                  "Parameter check failed, condition: profileIndex >= 0 && profileIndex < getNbOptimizationProfiles()");
  if (static_cast<std::size_t>(profile) != profile_) shapes_.clear();
  changed_ = true;
  profile_ = static_cast<std::size_t>(profile);
  return true;
}

bool ExecutionContext::allInputDimensionsSpecified() const noexcept {
  const auto& inputs = engine_.plan().graph.inputs;
  return std::all_of(inputs.begin(), inputs.end(),
                     [&](const Value& each) { return isKnown(each.dims) || shapes_.contains(each.name); });
}

bool ExecutionContext::setInputShape(char const* tensor, nvinfer1::Dims const& dims) noexcept {
  const Value* input = engine_.find(tensor);
  if (input == nullptr || !engine_.isInput(*input))
    return refuse("setInputShape", std::string("Given invalid tensor name: ") + (tensor == nullptr ? "null" : tensor) +
                                       ". Get valid tensor names with getIOTensorName()");
  const Shape shape = shapeOf(dims);
  bool fits = shape.size() == input->dims.size() && isKnown(shape);
  for (std::size_t i = 0; fits && i < shape.size(); ++i) fits = input->dims[i] < 0 || input->dims[i] == shape[i];
  if (!fits)
    return refuse("setInputShape",
                  "Parameter check failed, condition: engineDims.d[i] == dims.d[i]. Static dimension mismatch while "
                  "setting input shape for " +
                      input->name + ". Set dimensions are " + textOf(shape) + ". Expected dimensions are " +
                      textOf(input->dims) + ".");
  const Range range = engine_.rangeOf(*input, profile_);
  if (!isWithin(shape, range))
    return refuse("setInputShape", "Set dimension " + textOf(shape) + " for tensor " + input->name +
                                       " does not satisfy any optimization profiles. Valid range for profile " +
                                       std::to_string(profile_) + ": " + textOf(range[least]) + ".." +
                                       textOf(range[most]) + ".");
  shapes_[input->name] = shape;
  changed_ = true;
  return true;
}

Infos ExecutionContext::inputs() const {
  Infos result;
  for (const Value& each : engine_.plan().graph.inputs) {
    const auto set = shapes_.find(each.name);
    Info info{each.type, set == shapes_.end() ? each.dims : set->second, {}};
    const auto address = addresses_.find(each.name);
    if (engine_.isShapeTensor(each.name) && isKnown(info.dims) && address != addresses_.end()) {
      Tensor value = makeTensor(info.type, info.dims);
      // Pinned memory, perhaps: the driver then knows who wrote it.
      simulatorHostAccess(address->second, value.data.size(), 0);
      std::memcpy(value.data.data(), address->second, value.data.size());
      info.value = std::move(value);
    }
    result.insert_or_assign(each.name, std::move(info));
  }
  return result;
}

std::optional<Infos> ExecutionContext::infos() const {
  if (!allInputDimensionsSpecified()) return std::nullopt;
  try {
    return infer(*engine_.graph(), inputs());
  } catch (const std::exception& problem) {
    refuse("inferShapes", problem.what());
    return std::nullopt;
  }
}

nvinfer1::Dims ExecutionContext::getTensorShape(char const* tensor) const noexcept {
  const Value* found = engine_.find(tensor);
  nvinfer1::Dims none{};
  none.nbDims = -1;
  if (found == nullptr) return none;
  if (engine_.isInput(*found)) {
    const auto set = shapes_.find(found->name);
    return dimsOf(set == shapes_.end() ? found->dims : set->second);
  }
  const auto known = infos();
  return dimsOf(known ? known->at(found->name).dims : found->dims);
}

nvinfer1::Dims ExecutionContext::getTensorStrides(char const* tensor) const noexcept {
  nvinfer1::Dims strides = getTensorShape(tensor);
  std::int64_t stride = 1;
  for (std::int32_t i = strides.nbDims; i-- > 0;) stride *= std::exchange(strides.d[i], stride);
  return strides;
}

bool ExecutionContext::setTensorAddress(char const* tensor, void* data) noexcept {
  const Value* found = engine_.find(tensor);
  if (found == nullptr) return refuse("setTensorAddress", "Given invalid tensor name");
  const bool onDevice = !engine_.isShapeTensor(found->name);
  if (onDevice && engine_.isInput(*found) && reinterpret_cast<std::uintptr_t>(data) % alignment != 0)
    return refuse("setTensorAddress",
                  "Parameter check failed, condition: address of " + found->name + " is aligned to 256 bytes");
  addresses_[found->name] = data;
  changed_ = true;
  return true;
}

void const* ExecutionContext::getTensorAddress(char const* tensor) const noexcept {
  return getOutputTensorAddress(tensor);
}

bool ExecutionContext::setInputTensorAddress(char const* tensor, void const* data) noexcept {
  return setTensorAddress(tensor, const_cast<void*>(data));
}

bool ExecutionContext::setOutputTensorAddress(char const* tensor, void* data) noexcept {
  return setTensorAddress(tensor, data);
}

void* ExecutionContext::getOutputTensorAddress(char const* tensor) const noexcept {
  const auto found = addresses_.find(tensor == nullptr ? "" : tensor);
  return found == addresses_.end() ? nullptr : found->second;
}

int32_t ExecutionContext::inferShapes(int32_t size, char const** tensors) noexcept {
  int32_t missing = 0;
  for (const Value& each : engine_.plan().graph.inputs) {
    const bool hasShape = isKnown(each.dims) || shapes_.contains(each.name);
    const bool hasValue = !engine_.isShapeTensor(each.name) || addresses_.contains(each.name);
    if (hasShape && hasValue) continue;
    if (tensors != nullptr && missing < size) tensors[missing] = each.name.c_str();
    ++missing;
  }
  if (missing > 0) return missing;
  return infos() ? 0 : -1;
}

bool ExecutionContext::setOutputAllocator(char const* tensor, nvinfer1::IOutputAllocator* allocator) noexcept {
  const Value* found = engine_.find(tensor);
  if (found == nullptr || engine_.isInput(*found)) return refuse("setOutputAllocator", "Given invalid tensor name");
  allocators_[found->name] = allocator;
  return true;
}

nvinfer1::IOutputAllocator* ExecutionContext::getOutputAllocator(char const* tensor) noexcept {
  const auto found = allocators_.find(tensor);
  return found == allocators_.end() ? nullptr : found->second;
}

int64_t ExecutionContext::getMaxOutputSize(char const* tensor) const noexcept {
  const Value* found = engine_.find(tensor);
  if (found == nullptr || engine_.isInput(*found) || !allInputDimensionsSpecified()) return -1;
  try {
    return static_cast<int64_t>(bytesOf(infer(*engine_.graph(), inputs(), Unknown::largest).at(found->name)));
  } catch (const std::exception&) {
    return -1;
  }
}

std::string ExecutionContext::notReady(const Infos& known) const {
  const Graph& graph = engine_.plan().graph;
  for (const Value& each : graph.inputs) {
    if (!addresses_.contains(each.name) || addresses_.at(each.name) == nullptr)
      return "Parameter check failed, condition: mContext.profileObliviousBindings.at(profileObliviousIndex) != "
             "nullptr. Address is not set for input tensor " +
             each.name + ". Call setInputTensorAddress or setTensorAddress before enqueue/execute.";
    const auto& values = engine_.plan().profiles[profile_].values;
    const auto range = values.find(each.name);
    if (range == values.end() || !engine_.isShapeTensor(each.name)) continue;
    const auto content = integersOf(*known.at(each.name).value);
    if (!isWithin(content, range->second))
      return "Shape values " + textOf(content) + " of " + each.name + " are out of the range of profile " +
             std::to_string(profile_) + ": " + textOf(range->second[least]) + ".." + textOf(range->second[most]) + ".";
  }
  for (const Value& each : graph.outputs)
    if ((!addresses_.contains(each.name) || addresses_.at(each.name) == nullptr) && !allocators_.contains(each.name))
      return "Parameter check failed, condition: mContext.profileObliviousBindings.at(profileObliviousIndex) || "
             "getPtrOrNull(mOutputAllocators, profileObliviousIndex). Neither address or allocator is set for output "
             "tensor " +
             each.name +
             ". Call setOutputTensorAddress, setTensorAddress or setOutputAllocator before enqueue/execute.";
  if (userManaged_ && (userMemory_ == nullptr || userMemoryBytes_ < engine_.memoryFor(known)))
    return "Parameter check failed, condition: the context's device memory holds " +
           std::to_string(engine_.memoryFor(known)) + " bytes. It has " + std::to_string(userMemoryBytes_) + ".";
  return {};
}

std::vector<SimulatorRange> ExecutionContext::inputRanges(const Infos& known) const {
  std::vector<SimulatorRange> ranges;
  for (const Value& each : engine_.plan().graph.inputs)
    if (!engine_.isShapeTensor(each.name))
      ranges.push_back({addresses_.at(each.name), bytesOf(known.at(each.name)), 0});
  ranges.push_back({scratch(), engine_.memoryFor(known), 1});
  return ranges;
}

void* ExecutionContext::scratch() const {
  return userManaged_ ? userMemory_ : reinterpret_cast<void*>(memory_.address());
}

void* ExecutionContext::placeOutput(const Value& output, const Shape& dims, cudaStream_t stream) {
  void* address = getOutputTensorAddress(output.name.c_str());
  nvinfer1::IOutputAllocator* allocator = getOutputAllocator(output.name.c_str());
  if (allocator == nullptr) return address;
  // Even nothing has an address.
  const std::uint64_t bytes = std::max<std::uint64_t>(elementsOf(dims) * sizeOf(output.type), 1);
  address = allocator->reallocateOutputAsync(output.name.c_str(), address, bytes, alignment, stream);
  if (address != nullptr) allocator->notifyShape(output.name.c_str(), dimsOf(dims));
  return address;
}

bool ExecutionContext::enqueueV3(cudaStream_t stream) noexcept {
  constexpr const char* method = "enqueueV3";
  if (settings().failEnqueue) return refuse(method, "Assertion failed as the settings wish.");
  if (!allInputDimensionsSpecified())
    return refuse(method,
                  "Parameter check failed, condition: allInputDimensionsSpecified(). Input shapes are not set.");
  const auto known = infos();
  if (!known) return false;
  if (const std::string problem = notReady(*known); !problem.empty()) return refuse(method, problem);
  timer_.begin();
  if (!enqueueAny(stream, *known)) return false;
  if (profiler_ != nullptr && emitsProfile_ &&
      (cuStreamSynchronize(reinterpret_cast<CUstream>(stream)) != CUDA_SUCCESS || !timer_.report(*profiler_)))
    return refuse(method, "The profiler cannot be told of the layers.");
  if (consumed_ == nullptr) return true;
  return cuEventRecord(reinterpret_cast<CUevent>(consumed_), reinterpret_cast<CUstream>(stream)) == CUDA_SUCCESS;
}

bool ExecutionContext::enqueueAny(cudaStream_t stream, const Infos& known) {
  const auto& outputs = engine_.plan().graph.outputs;
  const bool dependsOnData = std::any_of(outputs.begin(), outputs.end(),
                                         [&](const Value& each) { return !isKnown(known.at(each.name).dims); });
  if (!plugins_.empty() && dependsOnData)
    return refuse("enqueueV3", "Plugins beside outputs whose shape depends on data are not simulated.");
  if (!plugins_.empty()) return enqueueNodes(stream, known);
  return timed(stream, 0, engine_.plan().graph.nodes.size(),
               [&] { return dependsOnData ? enqueueAfterShapes(stream, known) : enqueue(stream, known); });
}

bool ExecutionContext::timed(cudaStream_t stream, std::size_t firstNode, std::size_t nodes,
                             const std::function<bool()>& queue) {
  if (profiler_ == nullptr) return queue();
  std::vector<std::string> layers;
  for (std::size_t i = firstNode; i < firstNode + nodes; ++i)
    layers.push_back(engine_.plan().verbosity == nvinfer1::ProfilingVerbosity::kNONE
                         ? std::to_string(i)
                         : engine_.plan().graph.nodes[i].name);
  return timer_.time(reinterpret_cast<CUstream>(stream), std::move(layers), queue);
}

bool ExecutionContext::reportToProfiler() const noexcept {
  if (profiler_ == nullptr) return refuse("reportToProfiler", "There is no profiler.");
  if (emitsProfile_) return true;
  return timer_.report(*profiler_) || refuse("reportToProfiler", "No layer was timed, or the work is not done.");
}

bool ExecutionContext::enqueue(cudaStream_t stream, const Infos& known) {
  Execution execution{engine_.graph(), {}, {}};
  for (const Value& each : engine_.plan().graph.inputs) {
    execution.inputs.insert_or_assign(each.name, known.at(each.name));
    execution.from[each.name] = addresses_.at(each.name);
  }
  std::vector<SimulatorRange> ranges = inputRanges(known);
  std::map<std::string, void*> to;
  for (const Value& each : engine_.plan().graph.outputs) {
    void* address = placeOutput(each, known.at(each.name).dims, stream);
    if (address == nullptr) return refuse("enqueueV3", "The allocator of output " + each.name + " has no memory.");
    to[each.name] = address;
    ranges.push_back({address, bytesOf(known.at(each.name)), 1});
  }
  const int queued = launch(stream, "an execution of " + engine_.plan().graph.name, ranges, settings().executeNs,
                            [execution = std::move(execution), to] { write(execution.run(), to); });
  if (queued == CUDA_SUCCESS) return true;
  return refuse("enqueueV3", "Cuda Runtime (failure " + std::to_string(queued) + ")");
}

bool ExecutionContext::enqueueNodes(cudaStream_t stream, const Infos& known) {
  const auto graph = engine_.graph();
  const ScratchLayout layout = engine_.layoutFor(known);
  auto* const base = static_cast<std::byte*>(scratch());
  std::map<std::string, void*> addresses;
  for (const auto& [name, offset] : layout.tensors) addresses[name] = base + offset;
  for (const Value& each : graph->inputs) addresses[each.name] = addresses_.at(each.name);
  for (const Value& each : graph->outputs) {
    void* const address = placeOutput(each, known.at(each.name).dims, stream);
    if (address == nullptr) return refuse("enqueueV3", "The allocator of output " + each.name + " has no memory.");
    addresses[each.name] = address;
  }
  const auto rangeOf = [&](const std::string& name, bool writes) {
    return SimulatorRange{addresses.at(name), bytesOf(known.at(name)), writes ? 1 : 0};
  };
  const auto queue = [&](const std::string& what, const std::vector<SimulatorRange>& ranges,
                         std::function<void()> run) {
    const int queued = launch(stream, what + " of " + graph->name, ranges, 0, std::move(run));
    return queued == CUDA_SUCCESS || refuse("enqueueV3", "Cuda Runtime (failure " + std::to_string(queued) + ")");
  };

  if (!graph->weights.empty()) {
    std::vector<SimulatorRange> ranges;
    std::map<std::string, void*> to;
    for (const auto& [name, weights] : graph->weights) {
      ranges.push_back(rangeOf(name, true));
      to[name] = addresses.at(name);
    }
    if (!queue("the weights", ranges, [graph, to] { write(graph->weights, to); })) return false;
  }
  for (std::size_t i = 0; i < graph->nodes.size(); ++i) {
    const Node& node = graph->nodes[i];
    if (node.plugin) {
      if (!timed(stream, i, 1, [&] { return enqueuePlugin(stream, i, known, addresses, base + layout.workspace); }))
        return false;
      continue;
    }
    std::vector<SimulatorRange> ranges;
    Infos inputs;
    std::map<std::string, const void*> from;
    for (const std::string& name : node.inputs) {
      if (name.empty()) continue;
      inputs.insert_or_assign(name, known.at(name));
      from[name] = addresses.at(name);
      // Known values need not be read; they may be in host memory.
      if (!known.at(name).value) ranges.push_back(rangeOf(name, false));
    }
    const std::string& output = node.outputs.at(0);
    ranges.push_back(rangeOf(output, true));
    const auto compute = [graph, &node, inputs, from, to = std::map{std::pair{output, addresses.at(output)}}] {
      Tensors values;
      for (const auto& [name, info] : inputs)
        values.insert_or_assign(name, info.value ? *info.value : tensorAt(info, from.at(name)));
      write({{to.begin()->first, run(node, values)}}, to);
    };
    if (!timed(stream, i, 1, [&] { return queue(node.name, ranges, compute); })) return false;
  }
  changed_ = false;
  return true;
}

bool ExecutionContext::enqueuePlugin(cudaStream_t stream, std::size_t index, const Infos& known,
                                     const std::map<std::string, void*>& addresses, void* workspace) {
  const Node& node = engine_.plan().graph.nodes[index];
  std::vector<nvinfer1::PluginTensorDesc> in;
  std::vector<nvinfer1::PluginTensorDesc> out;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (const std::string& name : node.inputs) {
    in.push_back(descriptionOf(known.at(name)));
    inputs.push_back(addresses.at(name));
  }
  for (const std::string& name : node.outputs) {
    out.push_back(descriptionOf(known.at(name)));
    outputs.push_back(addresses.at(name));
  }
  nvinfer1::IPluginV3OneRuntime& plugin = runtimeOf(*plugins_.at(index));
  const auto fails = [&](std::int32_t status, const char* call) {
    if (status == 0) return false;
    refuse("enqueueV3", "Plugin " + node.plugin->name + " of layer " + node.name + " failed: " + call + " returned " +
                            std::to_string(status));
    return true;
  };
  if (changed_ && fails(plugin.onShapeChange(in.data(), static_cast<std::int32_t>(in.size()), out.data(),
                                             static_cast<std::int32_t>(out.size())),
                        "onShapeChange"))
    return false;
  return !fails(plugin.enqueue(in.data(), out.data(), inputs.data(), outputs.data(), workspace, stream), "enqueue");
}

// Waits for the results before it can tell how much room they need, as TensorRT does.
bool ExecutionContext::enqueueAfterShapes(cudaStream_t stream, const Infos& known) {
  Execution execution{engine_.graph(), {}, {}};
  for (const Value& each : engine_.plan().graph.inputs) {
    execution.inputs.insert_or_assign(each.name, known.at(each.name));
    execution.from[each.name] = addresses_.at(each.name);
  }
  const auto results = std::make_shared<Tensors>();
  const std::string name = "an execution of " + engine_.plan().graph.name;
  int queued = launch(stream, name, inputRanges(known), settings().executeNs,
                      [execution = std::move(execution), results] { *results = execution.run(); });
  if (queued == CUDA_SUCCESS) queued = cuStreamSynchronize(reinterpret_cast<CUstream>(stream));
  if (queued != CUDA_SUCCESS) return refuse("enqueueV3", "Cuda Runtime (failure " + std::to_string(queued) + ")");

  std::vector<SimulatorRange> ranges;
  std::map<std::string, void*> to;
  for (const Value& each : engine_.plan().graph.outputs) {
    const Tensor& result = results->at(each.name);
    void* address = placeOutput(each, result.dims, stream);
    if (address == nullptr) return refuse("enqueueV3", "The allocator of output " + each.name + " has no memory.");
    to[each.name] = address;
    ranges.push_back({address, result.data.size(), 1});
  }
  queued = launch(stream, name, ranges, 0, [results, to] { write(*results, to); });
  if (queued == CUDA_SUCCESS) return true;
  return refuse("enqueueV3", "Cuda Runtime (failure " + std::to_string(queued) + ")");
}

}  // namespace simulated_tensorrt
