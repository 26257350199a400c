#include "execution.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "../cuda/driver.h"
#include "error.h"
#include "failure.h"

namespace tensorrt_node::tensorrt {
namespace {

void* pointer(CUdeviceptr address) noexcept {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address));
}

bool within(std::span<const std::int64_t> values, const Range& range) noexcept {
  if (values.size() != range.min.size() || values.size() != range.max.size()) return false;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] < range.min[i] || values[i] > range.max[i]) return false;
  return true;
}

bool equal(std::span<const std::byte> left, const cuda::PinnedBlock& right) noexcept {
  return left.size() == right.size() && std::memcmp(left.data(), right.data(), left.size()) == 0;
}

// The elements of an input that holds a shape.
std::vector<std::int64_t> shapeValues(nvinfer1::DataType type, std::span<const std::byte> bytes) {
  std::vector<std::int64_t> values;
  const auto read = [&]<typename Integer>(Integer element) {
    for (std::size_t at = 0; at + sizeof element <= bytes.size(); at += sizeof element) {
      std::memcpy(&element, bytes.data() + at, sizeof element);
      values.push_back(element);
    }
  };
  if (type == nvinfer1::DataType::kINT64) {
    read(std::int64_t{});
  } else if (type == nvinfer1::DataType::kINT32) {
    read(std::int32_t{});
  }
  return values;
}

bool dynamic(std::span<const std::int64_t> dims) noexcept {
  return std::any_of(dims.begin(), dims.end(), [](std::int64_t dim) { return dim < 0; });
}

}  // namespace

Execution::Execution(std::shared_ptr<const Engine> engine, const std::string& name)
    : engine_(std::move(engine)),
      stream_(engine_->memory().context, name),
      inputs_(engine_->inputs().size()),
      outputs_(engine_->outputs().size()),
      context_(engine_->createContext(name)) {
  for (Output& output : outputs_) output.memory = std::make_unique<OutputMemory>(*engine_->memory().device, stream_);
}

Execution::~Execution() {
  drain();
  engine_->destroyContext(std::move(context_));
}

void Execution::drain() const noexcept {
  try {
    stream_.synchronize();
  } catch (const cuda::CudaError&) {
    // The context is lost, and its work with it.
    return;
  }
}

void Execution::check(bool done, const char* call, const std::string& what) const {
  if (!done) throw TensorrtError(call, what);
}

bool Execution::asBefore(std::span<const InputView> inputs) const {
  if (!prepared_) return false;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!std::equal(inputs[i].dims.begin(), inputs[i].dims.end(), inputs_[i].dims.begin(), inputs_[i].dims.end()))
      return false;
    if (engine_->inputs()[i].host && !equal(inputs[i].bytes, inputs_[i].host)) return false;
  }
  return true;
}

void Execution::prepare(std::span<const InputView> inputs) {
  if (inputs.size() != inputs_.size())
    throw std::invalid_argument("the engine has " + std::to_string(inputs_.size()) + " inputs, got " +
                                std::to_string(inputs.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorInfo& tensor = engine_->inputs()[i];
    if (const std::size_t bytes = tensorBytes(tensor.type, inputs[i].dims); bytes != inputs[i].bytes.size())
      throw std::invalid_argument("input '" + tensor.name + "' of shape " + shapeText(inputs[i].dims) + " has " +
                                  std::to_string(bytes) + " bytes, got " + std::to_string(inputs[i].bytes.size()));
    if (tensor.host) cuda::noteHostAccess(inputs[i].bytes.data(), inputs[i].bytes.size(), false);
  }
  if (asBefore(inputs)) return;
  prepared_ = false;
  const cuda::Current current(*engine_->memory().context);
  const LogCapture log;
  try {
    chooseProfile(inputs);
    for (std::size_t i = 0; i < inputs_.size(); ++i) setInput(i, inputs[i]);
    const std::int32_t missing = context_->inferShapes(0, nullptr);
    if (missing != 0) throw TensorrtError("inferShapes", "TensorRT cannot work out the shapes for these inputs");
    for (std::size_t i = 0; i < outputs_.size(); ++i) setOutput(i);
    setScratch();
  } catch (const TensorrtError& error) {
    throwFailure(error.call().c_str(), log, error.what(), error.hint());
  }
  prepared_ = true;
}

void Execution::forget() noexcept {
  prepared_ = false;
  scratch_.reset();
  for (Input& input : inputs_) input.memory.reset();
  for (Output& output : outputs_) output.memory->release();
}

// The first that holds all shapes.
void Execution::chooseProfile(std::span<const InputView> inputs) {
  const auto fits = [&](int profile) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const TensorInfo& tensor = engine_->inputs()[i];
      const ProfileRange& range = tensor.profiles[static_cast<std::size_t>(profile)];
      if (!within(inputs[i].dims, range.dims)) return false;
      if (tensor.host && range.values && !within(shapeValues(tensor.type, inputs[i].bytes), *range.values))
        return false;
    }
    return true;
  };
  int profile = 0;
  while (profile < engine_->info().profiles && !fits(profile)) ++profile;
  if (profile == engine_->info().profiles) {
    std::string shapes;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      shapes += (i == 0 ? "" : ", ") + engine_->inputs()[i].name + " " + shapeText(inputs[i].dims);
    throw TensorrtError("setInputShape", "no optimization profile of the engine holds " + shapes,
                        "build the engine with a profile for these shapes");
  }
  if (context_->getOptimizationProfile() == profile) return;
  check(context_->setOptimizationProfileAsync(profile, stream_.handle()), "setOptimizationProfileAsync",
        "TensorRT refuses optimization profile " + std::to_string(profile));
}

void Execution::setInput(std::size_t index, const InputView& input) {
  const TensorInfo& tensor = engine_->inputs()[index];
  Input& own = inputs_[index];
  const char* const name = tensor.name.c_str();
  if (dynamic(tensor.dims))
    check(context_->setInputShape(name, toDims(input.dims)), "setInputShape",
          "TensorRT refuses the shape " + shapeText(input.dims) + " of input '" + tensor.name + "'");
  const std::size_t room = std::max<std::size_t>(input.bytes.size(), 1);
  void* address = nullptr;
  if (tensor.host) {
    if (!own.host || own.host.size() != input.bytes.size())
      own.host = engine_->memory().pinned->allocate(input.bytes.size());
    cuda::noteHostAccess(own.host.data(), own.host.size(), true);
    std::memcpy(own.host.data(), input.bytes.data(), input.bytes.size());
    address = own.host.data();
  } else {
    if (!own.memory || own.memory.size() < room) {
      own.memory.reset();
      own.memory = engine_->memory().device->allocate(room, stream_);
    }
    address = pointer(own.memory.address());
  }
  check(context_->setInputTensorAddress(name, address), "setInputTensorAddress",
        "TensorRT refuses the memory of input '" + tensor.name + "'");
  own.dims.assign(input.dims.begin(), input.dims.end());
}

void Execution::setOutput(std::size_t index) {
  const TensorInfo& tensor = engine_->outputs()[index];
  Output& own = outputs_[index];
  const char* const name = tensor.name.c_str();
  const Shape dims = toShape(context_->getTensorShape(name));
  own.allocated = dynamic(dims);
  own.memory->start();
  if (tensor.host) {
    const std::size_t bytes =
        std::max<std::size_t>(own.allocated ? maxOutputBytes(index) : tensorBytes(tensor.type, dims), 1);
    if (!own.host || own.host.size() < bytes) own.host = engine_->memory().pinned->allocate(bytes);
    check(context_->setTensorAddress(name, own.host.data()), "setTensorAddress",
          "TensorRT refuses the memory of output '" + tensor.name + "'");
    return;
  }
  if (!own.allocated) own.memory->reserve(tensorBytes(tensor.type, dims));
  check(context_->setOutputAllocator(name, own.allocated ? own.memory.get() : nullptr), "setOutputAllocator",
        "TensorRT refuses the memory of output '" + tensor.name + "'");
  check(context_->setTensorAddress(name, pointer(own.memory->address())), "setTensorAddress",
        "TensorRT refuses the memory of output '" + tensor.name + "'");
}

void Execution::setScratch() {
  std::size_t bytes = context_->updateDeviceMemorySizeForShapes();
  // That tells nothing of the scratch for weights.
  if (engine_->streamsWeights())
    bytes = std::max(bytes, static_cast<std::size_t>(engine_->deviceMemoryBytes(context_->getOptimizationProfile())));
  if (!scratch_ || scratch_.size() < bytes) {
    scratch_.reset();
    scratch_ = engine_->memory().device->allocate(std::max<std::size_t>(bytes, 1), stream_);
  }
  context_->setDeviceMemoryV2(pointer(scratch_.address()), static_cast<std::int64_t>(scratch_.size()));
}

void Execution::copyInputs(std::span<const InputView> inputs) {
  const cuda::Current current(*stream_.context());
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (engine_->inputs()[i].host || inputs[i].bytes.empty()) continue;
    cuda::check(cuda::driver().cuMemcpyHtoDAsync(inputs_[i].memory.address(), inputs[i].bytes.data(),
                                                 inputs[i].bytes.size(), stream_.handle()),
                "cuMemcpyHtoDAsync", stream_.name());
  }
}

void Execution::enqueue() {
  const cuda::Current current(*stream_.context());
  for (Output& output : outputs_)
    if (output.allocated) output.memory->start();
  const LogCapture log;
  if (context_->enqueueV3(stream_.handle())) return;
  for (Output& output : outputs_)
    if (output.allocated && output.memory->failure()) std::rethrow_exception(output.memory->failure());
  throwFailure("enqueueV3", log, "TensorRT does not run the engine");
}

void Execution::copyOutput(std::size_t output, std::span<std::byte> to) {
  if (to.empty() || engine_->outputs()[output].host) return;
  const cuda::Current current(*stream_.context());
  cuda::check(
      cuda::driver().cuMemcpyDtoHAsync(to.data(), outputs_[output].memory->address(), to.size(), stream_.handle()),
      "cuMemcpyDtoHAsync", stream_.name());
}

void Execution::readHostOutput(std::size_t output, std::span<std::byte> to) const {
  if (!engine_->outputs()[output].host) return;
  const cuda::PinnedBlock& from = outputs_[output].host;
  cuda::noteHostAccess(from.data(), to.size(), false);
  cuda::noteHostAccess(to.data(), to.size(), true);
  std::memcpy(to.data(), from.data(), to.size());
}

Shape Execution::outputDims(std::size_t output) const {
  const Output& own = outputs_[output];
  if (own.allocated && own.memory->dims()) return *own.memory->dims();
  return toShape(context_->getTensorShape(engine_->outputs()[output].name.c_str()));
}

std::size_t Execution::outputBytes(std::size_t output) const {
  return tensorBytes(engine_->outputs()[output].type, outputDims(output));
}

std::size_t Execution::maxOutputBytes(std::size_t output) const {
  const TensorInfo& tensor = engine_->outputs()[output];
  const std::int64_t bytes = context_->getMaxOutputSize(tensor.name.c_str());
  if (bytes < 0) throw TensorrtError("getMaxOutputSize", "TensorRT knows no limit to output '" + tensor.name + "'");
  return static_cast<std::size_t>(bytes);
}

void Execution::timeLayers(LayerProfiler& profiler) {
  const cuda::Current current(*stream_.context());
  tensorrt::timeLayers(*context_, profiler);
}

void Execution::reportLayers() const {
  const cuda::Current current(*stream_.context());
  tensorrt::reportLayers(*context_);
}

bool Execution::needsHost() const noexcept {
  const auto host = [](const TensorInfo& tensor) { return tensor.host; };
  return engine_->streamsWeights() || std::any_of(engine_->inputs().begin(), engine_->inputs().end(), host) ||
         std::any_of(engine_->outputs().begin(), engine_->outputs().end(), host) ||
         std::any_of(outputs_.begin(), outputs_.end(), [](const Output& output) { return output.allocated; });
}

}  // namespace tensorrt_node::tensorrt
