// A network: what the parser reads, the builder writes into plans and engines run.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "plugin.h"
#include "tensor_data.h"

namespace simulated_tensorrt {

struct Value {
  std::string name;
  DataType type = DataType::kFLOAT;
  Shape dims;
  std::vector<std::string> dimNames;
};

struct Node {
  std::string name;
  std::string op;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::map<std::string, std::vector<std::int64_t>> integers;
  std::map<std::string, Tensor> tensors;
  // Attributes that only plugins have; plans do not keep them.
  std::map<std::string, std::vector<float>> floats;
  std::map<std::string, std::string> texts;
  // Of a plugin: what is known of it, and while an engine is built the plugin itself.
  std::optional<PluginLayer> plugin;
  std::shared_ptr<nvinfer1::IPluginV3> instance;
  // As the user wished, which changes no result.
  std::optional<DataType> precision;
  std::optional<DataType> outputType;
};

struct Graph {
  // TensorRT's parser does not take the file's.
  std::string name = "Unnamed Network 0";
  std::vector<Value> inputs;
  // Their shapes are inferred.
  std::vector<Value> outputs;
  // Empty data in plans without weights.
  std::map<std::string, Tensor> weights;
  // In an order in which they can run.
  std::vector<Node> nodes;
};

// Everything known of a value before anything runs.
struct Info {
  DataType type = DataType::kFLOAT;
  Shape dims;
  // Of weights, shapes, and what is computed of such alone.
  std::optional<Tensor> value;
};
using Infos = std::map<std::string, Info>;
using Tensors = std::map<std::string, Tensor>;

// What stands for sizes that depend on data: -1, or the largest there can be.
enum class Unknown { minusOne, largest };

// All values of the graph; `inputs` holds shapes, and the values of inputs in host memory. Throws std::runtime_error,
// or NodeError where a node is at fault.
Infos infer(const Graph& graph, Infos inputs, Unknown unknown = Unknown::minusOne);
// Some node is a plugin: the graph runs node by node.
bool hasPlugins(const Graph& graph);
// Inputs of the graph whose content decides shapes.
std::set<std::string> shapeInputs(const Graph& graph);
// All values of a graph without plugins.
Tensors run(const Graph& graph, Tensors inputs);
// The output of one node that is no plugin. Throws std::runtime_error.
Tensor run(const Node& node, const Tensors& values);

std::size_t weightBytes(const Graph& graph);

struct NodeError : std::runtime_error {
  NodeError(std::size_t at, const std::string& what) : std::runtime_error(what), node(at) {}
  std::size_t node;
};

}  // namespace simulated_tensorrt
