#include "network.h"

#include <utility>

#include "operators.h"
#include "plugin.h"

namespace simulated_tensorrt {

namespace {

// Makes the plugins, and asks each of them for its outputs, by the shapes that are known from the nodes before it.
void addPlugins(Graph& graph) {
  Graph before = graph;
  before.nodes.clear();
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    if (findOperator(node.op) == nullptr) {
      try {
        const OwnedPlugin parsers = createPlugin(node);
        if (parsers == nullptr) throw std::runtime_error("Plugin not found: " + node.op);
        // The network has one of its own.
        node.instance.reset(parsers->clone());
        if (node.instance == nullptr) throw std::runtime_error("Could not clone plugin " + node.op);
        Infos inputs;
        for (const Value& each : before.inputs) inputs.insert_or_assign(each.name, Info{each.type, each.dims, {}});
        const Infos infos = infer(before, std::move(inputs));
        std::vector<const Info*> given;
        for (const std::string& name : node.inputs) {
          const auto found = infos.find(name);
          given.push_back(found == infos.end() ? nullptr : &found->second);
        }
        node.plugin = describePlugin(*node.instance, given);
        if (node.outputs.size() > node.plugin->outputs.size())
          throw std::runtime_error("the node has more outputs than plugin " + node.op);
      } catch (const NodeError&) {
        throw;
      } catch (const std::exception& problem) {
        throw NodeError(i, problem.what());
      }
    }
    before.nodes.push_back(node);
  }
}

}  // namespace

NetworkTensor::NetworkTensor(std::string name, Role role, bool isShape, const Info& info,
                             std::vector<std::string> dimNames)
    : name_(std::move(name)),
      role_(role),
      isShape_(isShape),
      type_(info.type),
      dims_(info.dims),
      dimNames_(std::move(dimNames)) {
  mImpl = this;
}

char const* NetworkTensor::getDimensionName(int32_t index) const noexcept {
  const auto at = static_cast<std::size_t>(index);
  return index >= 0 && at < dimNames_.size() && !dimNames_[at].empty() ? dimNames_[at].c_str() : nullptr;
}

void NetworkTensor::setDimensionName(int32_t index, char const* name) noexcept {
  const auto at = static_cast<std::size_t>(index);
  if (index >= 0 && at < dimNames_.size()) dimNames_[at] = name == nullptr ? "" : name;
}

Layer::Layer(const Node& node, std::vector<nvinfer1::ITensor*> inputs, std::vector<nvinfer1::ITensor*> outputs)
    : name_(node.name), op_(node.op), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {
  mLayer = this;
}

nvinfer1::LayerType Layer::getType() const noexcept {
  const Operator* const found = findOperator(op_);
  return found == nullptr ? nvinfer1::LayerType::kPLUGIN_V3 : found->layer;
}

void Layer::setOutputType(int32_t index, DataType type) noexcept {
  if (at(outputs_, index) != nullptr) outputType_ = type;
}

DataType Layer::getOutputType(int32_t index) const noexcept {
  const nvinfer1::ITensor* output = at(outputs_, index);
  return outputType_.value_or(output == nullptr ? DataType::kFLOAT : output->getType());
}

Network::Network(nvinfer1::IBuilder& builder, nvinfer1::NetworkDefinitionCreationFlags flags)
    : builder_(builder), flags_(flags) {
  mImpl = this;
}

void Network::take(Graph graph) {
  for (Node& node : graph.nodes)
    if (node.name.empty()) node.name = "node_of_" + node.outputs.at(0);
  addPlugins(graph);
  Infos inputs;
  for (const Value& each : graph.inputs) inputs.insert_or_assign(each.name, Info{each.type, each.dims, {}});
  const Infos infos = infer(graph, std::move(inputs));
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    Value& output = graph.outputs[i];
    const auto found = infos.find(output.name);
    if (found == infos.end()) throw std::runtime_error("Assertion failed: no node makes the output " + output.name);
    output.type = found->second.type;
    output.dims = found->second.dims;
  }

  graph_ = std::move(graph);
  const std::set<std::string> shapes = shapeInputs(graph_);
  for (const auto& [name, info] : infos)
    tensors_[name] =
        std::make_unique<NetworkTensor>(name, NetworkTensor::Role::inner, false, info, std::vector<std::string>{});
  for (const Value& each : graph_.inputs)
    tensors_[each.name] = std::make_unique<NetworkTensor>(
        each.name, NetworkTensor::Role::input, shapes.contains(each.name), infos.at(each.name), each.dimNames);
  for (const Value& each : graph_.outputs)
    tensors_[each.name] = std::make_unique<NetworkTensor>(each.name, NetworkTensor::Role::output, false,
                                                          infos.at(each.name), std::vector<std::string>{});
  for (const Node& node : graph_.nodes) {
    std::vector<nvinfer1::ITensor*> from;
    std::vector<nvinfer1::ITensor*> to;
    for (const std::string& name : node.inputs) from.push_back(tensor(name));
    for (const std::string& name : node.outputs) to.push_back(tensor(name));
    layers_.push_back(std::make_unique<Layer>(node, std::move(from), std::move(to)));
  }
}

Graph Network::graph() const {
  Graph result = graph_;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = *layers_[i];
    result.nodes[i].name = layer.getName();
    if (layer.precisionIsSet()) result.nodes[i].precision = layer.getPrecision();
    if (layer.outputTypeIsSet(0)) result.nodes[i].outputType = layer.getOutputType(0);
  }
  return result;
}

nvinfer1::ITensor* Network::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second.get();
}

nvinfer1::ILayer* Network::getLayer(int32_t index) const noexcept {
  const auto at = static_cast<std::size_t>(index);
  return index >= 0 && at < layers_.size() ? layers_[at].get() : nullptr;
}

nvinfer1::ITensor* Network::getInput(int32_t index) const noexcept {
  const auto at = static_cast<std::size_t>(index);
  return index >= 0 && at < graph_.inputs.size() ? tensor(graph_.inputs[at].name) : nullptr;
}

nvinfer1::ITensor* Network::getOutput(int32_t index) const noexcept {
  const auto at = static_cast<std::size_t>(index);
  return index >= 0 && at < graph_.outputs.size() ? tensor(graph_.outputs[at].name) : nullptr;
}

}  // namespace simulated_tensorrt
