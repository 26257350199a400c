#include "block_execution.h"

#include <algorithm>
#include <stdexcept>

#include "../cuda/context.h"
#include "error.h"
#include "failure.h"

namespace tensorrt_node::tensorrt {
namespace {

void* pointer(CUdeviceptr address) noexcept {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address));
}

bool isDynamic(const TensorInfo& tensor) noexcept {
  return std::any_of(tensor.dims.begin(), tensor.dims.end(), [](std::int64_t dim) { return dim < 0; });
}

bool within(const Shape& dims, const Range& range) noexcept {
  if (dims.size() != range.min.size()) return false;
  for (std::size_t i = 0; i < dims.size(); ++i)
    if (dims[i] < range.min[i] || dims[i] > range.max[i]) return false;
  return true;
}

const Shape* shapeOf(std::span<const NamedShape> shapes, std::string_view name) noexcept {
  const auto found = std::find_if(shapes.begin(), shapes.end(), [&](const auto& each) { return each.first == name; });
  return found == shapes.end() ? nullptr : &found->second;
}

}  // namespace

BlockExecution::BlockExecution(std::shared_ptr<const Engine> engine, const std::string& name)
    : engine_(std::move(engine)) {
  for (const TensorInfo& tensor : engine_->info().tensors)
    if (tensor.host)
      throw TensorrtError("ICudaEngine::getTensorLocation",
                          "'" + tensor.name + "' is in host memory: the plan cannot run from device memory alone");
  context_ = engine_->createContext(name);
}

BlockExecution::~BlockExecution() {
  engine_->destroyContext(std::move(context_));
}

const TensorInfo& BlockExecution::find(std::string_view tensor) const {
  for (const TensorInfo& each : engine_->info().tensors)
    if (each.name == tensor) return each;
  throw std::invalid_argument("the plan has no input or output '" + std::string(tensor) + "'");
}

int BlockExecution::profileFor(std::span<const NamedShape> shapes) const {
  const auto fits = [&](int profile) {
    return std::all_of(engine_->inputs().begin(), engine_->inputs().end(), [&](const TensorInfo& input) {
      if (!isDynamic(input)) return true;
      const Shape* const dims = shapeOf(shapes, input.name);
      return dims != nullptr && within(*dims, input.profiles[static_cast<std::size_t>(profile)].dims);
    });
  };
  for (int profile = 0; profile < engine_->info().profiles; ++profile)
    if (fits(profile)) return profile;
  std::string text;
  for (const auto& [name, dims] : shapes)
    text += (text.empty() ? "" : ", ") + std::string(name) + " " + shapeText(dims);
  throw TensorrtError("setInputShape", "no optimization profile of the plan holds " + text);
}

void BlockExecution::setShapes(std::span<const NamedShape> shapes, const cuda::Stream& stream) {
  const cuda::Current current(*engine_->memory().context);
  const LogCapture log;
  const int profile = profileFor(shapes);
  if (context_->getOptimizationProfile() != profile && !context_->setOptimizationProfileAsync(profile, stream.handle()))
    throwFailure("setOptimizationProfileAsync", log,
                 "TensorRT refuses optimization profile " + std::to_string(profile));
  for (const TensorInfo& input : engine_->inputs()) {
    if (!isDynamic(input)) continue;
    const Shape& dims = *shapeOf(shapes, input.name);
    if (!context_->setInputShape(input.name.c_str(), toDims(dims)))
      throwFailure("setInputShape", log,
                   "TensorRT refuses the shape " + shapeText(dims) + " of input '" + input.name + "'");
  }
  if (context_->inferShapes(0, nullptr) != 0)
    throwFailure("inferShapes", log, "TensorRT cannot work out the shapes for these inputs");
  scratchBytes_ = std::max<std::size_t>(context_->updateDeviceMemorySizeForShapes(), 1);
}

Shape BlockExecution::dims(std::string_view tensor) const {
  return toShape(context_->getTensorShape(find(tensor).name.c_str()));
}

std::size_t BlockExecution::bytes(std::string_view tensor) const {
  return tensorBytes(find(tensor).type, dims(tensor));
}

void BlockExecution::setScratch(CUdeviceptr address, std::size_t bytes) {
  if (bytes < scratchBytes_)
    throw std::invalid_argument("the scratch memory has " + std::to_string(bytes) + " bytes, the plan needs " +
                                std::to_string(scratchBytes_));
  context_->setDeviceMemoryV2(pointer(address), static_cast<std::int64_t>(bytes));
}

void BlockExecution::setAddress(std::string_view tensor, CUdeviceptr address) {
  const TensorInfo& info = find(tensor);
  const LogCapture log;
  if (!context_->setTensorAddress(info.name.c_str(), pointer(address)))
    throwFailure("setTensorAddress", log, "TensorRT refuses the address of '" + info.name + "'");
}

void BlockExecution::enqueue(const cuda::Stream& stream) {
  const cuda::Current current(*engine_->memory().context);
  const LogCapture log;
  if (!context_->enqueueV3(stream.handle())) throwFailure("enqueueV3", log, "TensorRT does not run the plan");
}

void BlockExecution::timeLayers(LayerProfiler& profiler) {
  const cuda::Current current(*engine_->memory().context);
  tensorrt::timeLayers(*context_, profiler);
}

void BlockExecution::reportLayers() const {
  const cuda::Current current(*engine_->memory().context);
  tensorrt::reportLayers(*context_);
}

}  // namespace tensorrt_node::tensorrt
