#include "graph.h"

#include <algorithm>
#include <utility>

#include "operators.h"

namespace simulated_tensorrt {

namespace {

const Operator& operatorOf(const Node& node) {
  const Operator* found = findOperator(node.op);
  if (found == nullptr) throw std::runtime_error("no operator " + node.op);
  return *found;
}

// Null for inputs that were left out.
template <typename Value>
std::vector<const Value*> inputsOf(const Node& node, const std::map<std::string, Value>& values) {
  std::vector<const Value*> inputs;
  for (const std::string& name : node.inputs) {
    if (name.empty()) {
      inputs.push_back(nullptr);
      continue;
    }
    const auto found = values.find(name);
    if (found == values.end()) throw std::runtime_error("Assertion failed: no tensor is named " + name);
    inputs.push_back(&found->second);
  }
  return inputs;
}

// The largest shape that a node makes. Largest values of a shape may fit no data; as much as there is data is enough
// then.
Info inferLargest(const Node& node, const Operator& op, const std::vector<const Info*>& inputs) {
  if (node.op == "NonZero" && isKnown(inputs.at(0)->dims)) {
    const auto elements = static_cast<std::int64_t>(elementsOf(inputs[0]->dims));
    return {DataType::kINT64, {static_cast<std::int64_t>(inputs[0]->dims.size()), elements}, {}};
  }
  try {
    return op.infer(node, inputs);
  } catch (const std::runtime_error&) {
    if (node.op != "Reshape") throw;
    return {inputs.at(0)->type, inputs[0]->dims, {}};
  }
}

// What is computed of known values alone is known.
void fold(const Node& node, const Operator& op, const std::vector<const Info*>& inputs, Info& output) {
  std::vector<const Tensor*> values;
  for (const Info* each : inputs) {
    if (each != nullptr && !each->value) return;
    values.push_back(each == nullptr ? nullptr : &*each->value);
  }
  output.value = op.run(node, values);
  output.dims = output.value->dims;
}

}  // namespace

Infos infer(const Graph& graph, Infos inputs, Unknown unknown) {
  Infos infos = std::move(inputs);
  for (const auto& [name, weights] : graph.weights) {
    Info info{weights.type, weights.dims, {}};
    if (weights.data.size() == elementsOf(weights.dims) * sizeOf(weights.type)) info.value = weights;
    infos.insert_or_assign(name, std::move(info));
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    try {
      const auto values = inputsOf(node, infos);
      if (node.plugin) {
        std::vector<Info> outputs = node.plugin->infer(values);
        for (std::size_t k = 0; k < node.outputs.size(); ++k)
          infos.insert_or_assign(node.outputs[k], std::move(outputs.at(k)));
        continue;
      }
      const Operator& op = operatorOf(node);
      Info output = unknown == Unknown::largest ? inferLargest(node, op, values) : op.infer(node, values);
      if (!output.value && !values.empty()) fold(node, op, values, output);
      infos.insert_or_assign(node.outputs.at(0), std::move(output));
    } catch (const std::exception& problem) {
      throw NodeError(i, problem.what());
    }
  }
  return infos;
}

bool hasPlugins(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.plugin.has_value(); });
}

std::set<std::string> shapeInputs(const Graph& graph) {
  std::set<std::string> wanted;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    const bool takesShape = node->op == "Reshape" || node->op == "Expand";
    if (takesShape && node->inputs.size() > 1) wanted.insert(node->inputs[1]);
    const bool decides = std::any_of(node->outputs.begin(), node->outputs.end(),
                                     [&](const std::string& name) { return wanted.contains(name); });
    // Of what a Shape node looks at, the content decides nothing.
    if (decides && node->op != "Shape") wanted.insert(node->inputs.begin(), node->inputs.end());
  }
  std::set<std::string> inputs;
  for (const Value& each : graph.inputs)
    if (wanted.contains(each.name)) inputs.insert(each.name);
  return inputs;
}

Tensors run(const Graph& graph, Tensors inputs) {
  Tensors values = std::move(inputs);
  values.insert(graph.weights.begin(), graph.weights.end());
  for (const Node& node : graph.nodes) values.insert_or_assign(node.outputs.at(0), run(node, values));
  return values;
}

Tensor run(const Node& node, const Tensors& values) {
  return operatorOf(node).run(node, inputsOf(node, values));
}

std::size_t weightBytes(const Graph& graph) {
  std::size_t bytes = 0;
  for (const auto& [name, weights] : graph.weights) bytes += elementsOf(weights.dims) * sizeOf(weights.type);
  return bytes;
}

}  // namespace simulated_tensorrt
