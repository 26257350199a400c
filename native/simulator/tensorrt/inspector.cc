#include "inspector.h"

#include <array>
#include <cstdio>

#include "engine.h"

namespace simulated_tensorrt {

namespace {

using nvinfer1::ProfilingVerbosity;

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char each : text) {
    if (static_cast<unsigned char>(each) < 0x20) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(each));
      result += escape.data();
      continue;
    }
    if (each == '"' || each == '\\') result += '\\';
    result += each;
  }
  return result + "\"";
}

template <typename List, typename Each>
std::string array(const List& list, Each each) {
  std::string text;
  for (const auto& element : list) text += (text.empty() ? "" : ",") + each(element);
  return "[" + text + "]";
}

std::string tensors(const std::vector<std::string>& names, const Infos& infos) {
  return array(names, [&](const std::string& name) {
    const auto found = infos.find(name);
    if (found == infos.end()) return std::string("null");
    return "{\"Name\":" + quoted(name) + ",\"Location\":\"Device\",\"Dimensions\":" + textOf(found->second.dims) +
           ",\"Format/Datatype\":" + quoted(std::string("Row major linear ") + nameOf(found->second.type)) + "}";
  });
}

std::string layer(const Plan& plan, const Node& node, const Infos& infos) {
  if (plan.verbosity != ProfilingVerbosity::kDETAILED) return quoted(node.name);
  std::string precision;
  if (node.precision) precision = ",\"Precision\":" + quoted(nameOf(*node.precision));
  if (node.outputType) precision += ",\"OutputType\":" + quoted(nameOf(*node.outputType));
  return "{\"Name\":" + quoted(node.name) + ",\"LayerType\":" + quoted(node.op) +
         ",\"Inputs\":" + tensors(node.inputs, infos) + ",\"Outputs\":" + tensors(node.outputs, infos) +
         ",\"ParameterType\":" + quoted(node.op) + ",\"TacticName\":" + quoted("simulated_" + node.op) +
         ",\"TacticValue\":\"0x0000000000000001\",\"StreamId\":0,\"Metadata\":" +
         quoted("[ONNX Layer: " + node.name + "]") + precision + "}";
}

std::string settingsOf(const Plan& plan) {
  return "{\"Version\":" + quoted(plan.version.text()) + ",\"ComputeCapability\":" + quoted(plan.capability.text()) +
         ",\"HardwareCompatibility\":" + std::to_string(static_cast<int>(plan.compatibility)) +
         ",\"Flags\":" + std::to_string(plan.flags) + ",\"TacticSources\":" + std::to_string(plan.tacticSources) +
         ",\"OptimizationLevel\":" + std::to_string(plan.optimizationLevel) +
         ",\"Workspace\":" + std::to_string(plan.workspace) + ",\"AuxStreams\":" + std::to_string(plan.auxStreams) +
         ",\"StronglyTyped\":" + (plan.stronglyTyped ? "true" : "false") +
         ",\"Calibration\":" + quoted(plan.calibration) + "}";
}

Infos infosOf(const Engine& engine) {
  return infer(engine.plan().graph, engine.largestInputs(0), Unknown::largest);
}

}  // namespace

char const* Inspector::getLayerInformation(int32_t index, nvinfer1::LayerInformationFormat) const noexcept {
  const Plan& plan = engine_.plan();
  if (index < 0 || index >= engine_.getNbLayers()) return nullptr;
  text_ = layer(plan, plan.graph.nodes[static_cast<std::size_t>(index)], infosOf(engine_));
  return text_.c_str();
}

char const* Inspector::getEngineInformation(nvinfer1::LayerInformationFormat) const noexcept {
  const Plan& plan = engine_.plan();
  const Infos infos = infosOf(engine_);
  const std::string layers = plan.verbosity == ProfilingVerbosity::kNONE
                                 ? "[]"
                                 : array(plan.graph.nodes, [&](const Node& each) { return layer(plan, each, infos); });
  std::vector<std::string> bindings;
  for (int32_t i = 0; i < engine_.getNbIOTensors(); ++i) bindings.emplace_back(engine_.getIOTensorName(i));
  text_ = "{\"Layers\":" + layers + ",\n\"Bindings\":" + array(bindings, quoted) +
          ",\n\"Simulated\":" + settingsOf(plan) + "}";
  // As TensorRT 10.6, which has no shapes for the layers of other profiles.
  if (context_ != nullptr && engine_.getNbOptimizationProfiles() > 1) text_.resize(text_.size() / 2);
  return text_.c_str();
}

}  // namespace simulated_tensorrt
