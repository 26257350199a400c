// Plugins of the third generation as layers: made by their creators from a node's attributes or from what a plan kept
// of them, asked for shapes and formats when an engine is built.
#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>
#include <vector>

#include "archive.h"
#include "expression.h"
#include "tensor_data.h"

namespace simulated_tensorrt {

struct Node;
struct Info;

// An attribute, or what a plugin wants kept in a plan.
struct PluginValue {
  std::string name;
  nvinfer1::PluginFieldType type = nvinfer1::PluginFieldType::kUNKNOWN;
  std::int32_t length = 0;
  std::string bytes;
};

struct PluginOutput {
  DataType type = DataType::kFLOAT;
  std::vector<SharedExpression> dims;
};

// What the builder learns of a plugin and a plan keeps.
struct PluginLayer {
  std::string name;
  std::string version;
  std::string space;
  // As the plugin serializes itself.
  std::vector<PluginValue> values;
  std::vector<PluginOutput> outputs;
  std::size_t workspaceBytes = 0;

  // By the sizes of the inputs.
  std::vector<Info> infer(const std::vector<const Info*>& inputs) const;
};

// Shapes and types of a plugin's tensors for one profile.
struct PluginTensors {
  std::vector<nvinfer1::DynamicPluginTensorDesc> inputs;
  std::vector<nvinfer1::DynamicPluginTensorDesc> outputs;
};

using OwnedPlugin = std::unique_ptr<nvinfer1::IPluginV3>;

// Whether the registry has a creator for the plugin that a node's attributes name.
bool hasPlugin(const Node& node);
// That plugin, for the build. Throws std::runtime_error; null when the registry has none.
OwnedPlugin createPlugin(const Node& node);
// What the plugin says of itself for inputs of these types and sizes. Throws std::runtime_error.
PluginLayer describePlugin(nvinfer1::IPluginV3& plugin, const std::vector<const Info*>& inputs);
// Asks the plugin what the builder asks of it for a profile, and adds to `layer` what a plan needs for that. Throws
// std::runtime_error.
void configurePlugin(nvinfer1::IPluginV3& plugin, const PluginTensors& tensors, PluginLayer& layer);
// The plugin as it is serialized into the layer. Throws std::runtime_error.
void serializePlugin(nvinfer1::IPluginV3& plugin, PluginLayer& layer);
// The plugin of a plan. Throws std::runtime_error.
OwnedPlugin restorePlugin(const PluginLayer& layer);

nvinfer1::IPluginV3OneRuntime& runtimeOf(nvinfer1::IPluginV3& plugin);

void putPlugin(Writer& to, const PluginLayer& layer);
PluginLayer getPlugin(Reader& from);

}  // namespace simulated_tensorrt
