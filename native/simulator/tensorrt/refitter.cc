#include "refitter.h"

#include <memory>

#include "engine.h"
#include "log.h"

namespace simulated_tensorrt {

nvinfer1::IRefitter* Refitter::make(Engine& engine, nvinfer1::ILogger& logger) {
  // As TensorRT 10.6 has it: plans for refits with the same weights say that they are not refittable, and are.
  if (engine.isRefittable() || engine.takesItsOwnWeights()) return std::make_unique<Refitter>(engine, logger).release();
  usageError(logger, "createInferRefitter", "Parameter check failed, condition: engine.isRefittable().");
  return nullptr;
}

Refitter::Refitter(Engine& engine, nvinfer1::ILogger& logger)
    : engine_(engine), logger_(logger), graph_(*engine.graph()) {
  mImpl = this;
  for (const auto& [name, weights] : graph_.weights)
    if (weights.data.empty() && elementsOf(weights.dims) > 0) missing_.insert(name);
}

bool Refitter::setNamedWeights(char const* name, nvinfer1::Weights weights) noexcept {
  const auto found = graph_.weights.find(name);
  if (found == graph_.weights.end()) {
    usageError(logger_, "IRefitter::setNamedWeights", std::string("No weights are named ") + name);
    return false;
  }
  Tensor& tensor = found->second;
  if (weights.type != tensor.type || weights.values == nullptr ||
      static_cast<std::size_t>(weights.count) != elementsOf(tensor.dims)) {
    usageError(logger_, "IRefitter::setNamedWeights",
               std::string("Parameter check failed: weights ") + name + " have another type or count");
    return false;
  }
  const auto* bytes = static_cast<const std::byte*>(weights.values);
  tensor.data.assign(bytes, bytes + elementsOf(tensor.dims) * sizeOf(tensor.type));
  missing_.erase(name);
  return true;
}

bool Refitter::refitCudaEngine() noexcept {
  if (settings().failRefit || !missing_.empty()) {
    usageError(logger_, "IRefitter::refitCudaEngine",
               missing_.empty() ? "Assertion failed as the settings wish."
                                : "Missing weights: " + *missing_.begin() + " are needed for refitting.");
    return false;
  }
  engine_.refit(graph_);
  return true;
}

int32_t Refitter::getMissingWeights(int32_t size, char const** names) noexcept {
  int32_t at = 0;
  for (const std::string& each : missing_) {
    if (names != nullptr && at < size) names[at] = each.c_str();
    ++at;
  }
  return at;
}

int32_t Refitter::getAllWeights(int32_t size, char const** names) noexcept {
  int32_t at = 0;
  for (const auto& [name, weights] : graph_.weights) {
    if (names != nullptr && at < size) names[at] = name.c_str();
    ++at;
  }
  return at;
}

nvinfer1::Weights Refitter::getWeightsPrototype(char const* name) const noexcept {
  const auto found = graph_.weights.find(name);
  if (found == graph_.weights.end()) return {DataType::kFLOAT, nullptr, -1};
  return {found->second.type, nullptr, static_cast<int64_t>(elementsOf(found->second.dims))};
}

}  // namespace simulated_tensorrt
