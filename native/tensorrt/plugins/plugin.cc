#include "plugin.h"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "current_kernels.h"
#include "report.h"

namespace tensorrt_node::tensorrt::plugins {
namespace {

using nvinfer1::DataType;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginTensorDesc;

constexpr std::int32_t kFailed = -1;

template <typename Type>
std::span<const Type> listOf(const Type* first, std::int32_t count) noexcept {
  return {first, static_cast<std::size_t>(std::max(count, 0))};
}

bool isHidden(DataType type) noexcept {
  return type == DataType::kHALF || type == DataType::kBF16;
}

bool fits(DataType type, Element wanted, DataType hidden) noexcept {
  switch (wanted) {
    case Element::hidden:
      return isHidden(type) && type == hidden;
    case Element::float16:
      return type == DataType::kHALF;
    case Element::bfloat16:
      return type == DataType::kBF16;
    case Element::float32:
      return type == DataType::kFLOAT;
    case Element::int32:
      return type == DataType::kINT32;
    case Element::int64:
      return type == DataType::kINT64;
  }
  return false;
}

DataType dataType(Element element, DataType hidden) noexcept {
  switch (element) {
    case Element::float16:
      return DataType::kHALF;
    case Element::bfloat16:
      return DataType::kBF16;
    case Element::float32:
      return DataType::kFLOAT;
    case Element::int32:
      return DataType::kINT32;
    case Element::int64:
      return DataType::kINT64;
    case Element::hidden:
      break;
  }
  return hidden;
}

// The type of the first input that is of the hidden type; half where there is none among these.
template <typename TypeAt>
DataType hiddenType(const std::vector<Element>& elements, std::size_t known, TypeAt typeAt) {
  for (std::size_t i = 0; i < std::min(known, elements.size()); ++i)
    if (elements[i] == Element::hidden) return typeAt(i);
  return DataType::kHALF;
}

}  // namespace

Plugin::Plugin(std::unique_ptr<Operator> wanted, nvinfer1::TensorRTPhase phase)
    : operator_(std::move(wanted)), phase_(phase) {}

nvinfer1::IPluginCapability* Plugin::getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept {
  switch (type) {
    case nvinfer1::PluginCapabilityType::kCORE:
      return static_cast<nvinfer1::IPluginV3OneCore*>(this);
    case nvinfer1::PluginCapabilityType::kBUILD:
      return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
    case nvinfer1::PluginCapabilityType::kRUNTIME:
      return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
  }
  return nullptr;
}

Plugin* Plugin::clone() noexcept {
  return guarded<Plugin*>(getPluginName(), "clone", nullptr, [&] {
    auto copy = std::make_unique<Plugin>(operator_->clone(), phase_);
    copy->kernels_ = kernels_;
    return copy.release();
  });
}

int32_t Plugin::getOutputDataTypes(DataType* outputs, int32_t outputCount, DataType const* inputs,
                                   int32_t inputCount) const noexcept {
  return guarded(getPluginName(), "getOutputDataTypes", kFailed, [&] {
    const auto given = listOf(inputs, inputCount);
    const Signature signature = operator_->signature(given.size());
    if (static_cast<std::size_t>(outputCount) != signature.outputs.size())
      throw std::invalid_argument("has " + std::to_string(signature.outputs.size()) + " outputs, asked for " +
                                  std::to_string(outputCount));
    const DataType hidden = hiddenType(signature.inputs, given.size(), [&](std::size_t i) { return given[i]; });
    for (std::size_t i = 0; i < signature.outputs.size(); ++i) outputs[i] = dataType(signature.outputs[i], hidden);
    return 0;
  });
}

int32_t Plugin::getOutputShapes(nvinfer1::DimsExprs const* inputs, int32_t inputCount, nvinfer1::DimsExprs const*,
                                int32_t shapeInputCount, nvinfer1::DimsExprs* outputs, int32_t outputCount,
                                nvinfer1::IExprBuilder& builder) noexcept {
  return guarded(getPluginName(), "getOutputShapes", kFailed, [&] {
    if (shapeInputCount != 0) throw std::invalid_argument("has no inputs that hold shapes");
    const auto given = listOf(inputs, inputCount);
    // Refuses a wrong number of inputs.
    static_cast<void>(operator_->signature(given.size()));
    const auto shapes = operator_->outputShapes(given, builder);
    if (static_cast<std::size_t>(outputCount) != shapes.size())
      throw std::invalid_argument("has " + std::to_string(shapes.size()) + " outputs, asked for " +
                                  std::to_string(outputCount));
    std::copy(shapes.begin(), shapes.end(), outputs);
    return 0;
  });
}

bool Plugin::supportsFormatCombination(int32_t position, DynamicPluginTensorDesc const* tensors, int32_t inputCount,
                                       int32_t outputCount) noexcept {
  return guarded(getPluginName(), "supportsFormatCombination", false, [&] {
    const auto inputs = static_cast<std::size_t>(inputCount);
    const auto at = static_cast<std::size_t>(position);
    const Signature signature = operator_->signature(inputs);
    if (static_cast<std::size_t>(outputCount) != signature.outputs.size()) return false;
    const PluginTensorDesc& tensor = tensors[at].desc;
    const DataType hidden = hiddenType(signature.inputs, at + 1, [&](std::size_t i) { return tensors[i].desc.type; });
    const Element wanted = at < inputs ? signature.inputs[at] : signature.outputs.at(at - inputs);
    return tensor.format == nvinfer1::TensorFormat::kLINEAR && fits(tensor.type, wanted, hidden);
  });
}

size_t Plugin::getWorkspaceSize(DynamicPluginTensorDesc const* inputs, int32_t inputCount,
                                DynamicPluginTensorDesc const*, int32_t) const noexcept {
  return guarded(getPluginName(), "getWorkspaceSize", std::size_t{0}, [&] {
    std::vector<nvinfer1::Dims> largest;
    for (const DynamicPluginTensorDesc& each : listOf(inputs, inputCount)) largest.push_back(each.max);
    return operator_->workspaceBytes(largest);
  });
}

int32_t Plugin::onShapeChange(PluginTensorDesc const* inputs, int32_t inputCount, PluginTensorDesc const* outputs,
                              int32_t outputCount) noexcept {
  return guarded(getPluginName(), "onShapeChange", kFailed, [&] {
    const auto given = listOf(inputs, inputCount);
    const auto made = listOf(outputs, outputCount);
    const auto dims = [](const PluginTensorDesc& each) { return each.dims; };
    inputDims_.resize(given.size());
    outputDims_.resize(made.size());
    std::transform(given.begin(), given.end(), inputDims_.begin(), dims);
    std::transform(made.begin(), made.end(), outputDims_.begin(), dims);
    const auto hidden = std::find_if(given.begin(), given.end(), [](const auto& each) { return isHidden(each.type); });
    type_ = hidden != given.end() && hidden->type == DataType::kBF16 ? kernels::ElementType::bfloat16
                                                                     : kernels::ElementType::float16;
    operator_->check({inputDims_, outputDims_});
    return 0;
  });
}

int32_t Plugin::enqueue(PluginTensorDesc const*, PluginTensorDesc const*, void const* const* inputs,
                        void* const* outputs, void* workspace, cudaStream_t stream) noexcept {
  return guarded(getPluginName(), "enqueue", kFailed, [&] {
    // The builder may time layers, on memory that holds anything: addresses, pages and counts from there would be
    // followed, and there is nothing to choose from.
    if (phase_ == nvinfer1::TensorRTPhase::kBUILD) return 0;
    if (kernels_ == nullptr || inputDims_.empty()) throw std::logic_error("attached to no context, or without shapes");
    operator_->enqueue(
        {*kernels_, reinterpret_cast<CUstream>(stream), type_, {inputDims_, outputDims_}, inputs, outputs, workspace});
    return 0;
  });
}

nvinfer1::IPluginV3* Plugin::attachToContext(nvinfer1::IPluginResourceContext*) noexcept {
  return guarded<nvinfer1::IPluginV3*>(getPluginName(), "attachToContext", nullptr, [&] {
    auto copy = std::make_unique<Plugin>(operator_->clone(), phase_);
    // Here and not in the first enqueue(), which may be captured.
    if (phase_ == nvinfer1::TensorRTPhase::kRUNTIME) {
      copy->kernels_ = currentKernels();
      copy->operator_->attach(copy->kernels_);
    }
    return copy.release();
  });
}

nvinfer1::PluginFieldCollection const* Plugin::getFieldsToSerialize() noexcept {
  return guarded<nvinfer1::PluginFieldCollection const*>(getPluginName(), "getFieldsToSerialize", nullptr, [&] {
    saved_.clear();
    saved_.integer(kFormatField, kFormat);
    operator_->save(saved_);
    return &saved_.collection();
  });
}

}  // namespace tensorrt_node::tensorrt::plugins
