#include "plugin.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "graph.h"
#include "plugin_registry.h"

namespace simulated_tensorrt {

namespace {

using nvinfer1::PluginCapabilityType;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;
using nvinfer1::TensorFormat;
using nvinfer1::TensorRTPhase;

// By these TensorRT tells which interface it was given; one that overrides them is refused.
const char* kindOf(PluginCapabilityType type) {
  switch (type) {
    case PluginCapabilityType::kCORE:
      return "PLUGIN_V3ONE_CORE";
    case PluginCapabilityType::kBUILD:
      return "PLUGIN_V3ONE_BUILD";
    case PluginCapabilityType::kRUNTIME:
      return "PLUGIN_V3ONE_RUNTIME";
  }
  return "";
}

template <typename Interface>
Interface& capability(nvinfer1::IPluginV3& plugin, PluginCapabilityType type) {
  nvinfer1::IPluginCapability* const found = plugin.getCapabilityInterface(type);
  if (found == nullptr) throw std::runtime_error("a plugin lacks a capability that this phase needs");
  const std::string kind = found->getInterfaceInfo().kind;
  if (kind != kindOf(type))
    throw std::runtime_error("Invalid plugin interface kind" + kind +
                             ". It is not allowed to override getInterfaceInfo() of any plugin interface.");
  return static_cast<Interface&>(*found);
}

nvinfer1::IPluginV3OneBuild& buildOf(nvinfer1::IPluginV3& plugin) {
  return capability<nvinfer1::IPluginV3OneBuild>(plugin, PluginCapabilityType::kBUILD);
}

nvinfer1::IPluginV3OneCore& coreOf(nvinfer1::IPluginV3& plugin) {
  return capability<nvinfer1::IPluginV3OneCore>(plugin, PluginCapabilityType::kCORE);
}

void check(std::int32_t status, const std::string& plugin, const char* call) {
  if (status != 0)
    throw std::runtime_error("Assertion failed: " + plugin + "::" + call + " returned " + std::to_string(status));
}

std::string textAttribute(const Node& node, const std::string& name, const std::string& otherwise) {
  const auto found = node.texts.find(name);
  return found == node.texts.end() ? otherwise : found->second;
}

nvinfer1::IPluginCreatorV3One* creatorOf(const Node& node) {
  return PluginRegistry::instance().find(node.op, textAttribute(node, "plugin_version", "1"),
                                         textAttribute(node, "plugin_namespace", ""));
}

template <typename Number>
std::string bytesOf(const std::vector<Number>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number)};
}

// As the parser hands attributes on: of those that the creator names. Texts end with a zero that counts.
std::vector<PluginValue> valuesOf(const Node& node, nvinfer1::IPluginCreatorV3One& creator) {
  std::vector<PluginValue> values;
  const PluginFieldCollection& wanted = *creator.getFieldNames();
  for (std::int32_t i = 0; i < wanted.nbFields; ++i) {
    const std::string name = wanted.fields[i].name;
    if (const auto found = node.integers.find(name); found != node.integers.end()) {
      const std::vector<std::int32_t> integers(found->second.begin(), found->second.end());
      values.push_back({name, PluginFieldType::kINT32, static_cast<std::int32_t>(integers.size()), bytesOf(integers)});
    } else if (const auto real = node.floats.find(name); real != node.floats.end()) {
      values.push_back(
          {name, PluginFieldType::kFLOAT32, static_cast<std::int32_t>(real->second.size()), bytesOf(real->second)});
    } else if (const auto text = node.texts.find(name); text != node.texts.end()) {
      values.push_back(
          {name, PluginFieldType::kCHAR, static_cast<std::int32_t>(text->second.size() + 1), text->second + '\0'});
    }
  }
  return values;
}

OwnedPlugin create(nvinfer1::IPluginCreatorV3One& creator, const std::string& name,
                   const std::vector<PluginValue>& values, TensorRTPhase phase) {
  std::vector<PluginField> fields;
  for (const PluginValue& each : values)
    fields.emplace_back(each.name.c_str(), each.bytes.data(), each.type, each.length);
  const PluginFieldCollection collection{static_cast<std::int32_t>(fields.size()), fields.data()};
  return OwnedPlugin(creator.createPlugin(name.c_str(), &collection, phase));
}

std::size_t fieldBytes(const PluginField& field) {
  const auto length = static_cast<std::size_t>(std::max(field.length, 0));
  switch (field.type) {
    case PluginFieldType::kFLOAT16:
    case PluginFieldType::kBF16:
    case PluginFieldType::kINT16:
      return 2 * length;
    case PluginFieldType::kFLOAT32:
    case PluginFieldType::kINT32:
      return 4 * length;
    case PluginFieldType::kFLOAT64:
    case PluginFieldType::kINT64:
      return 8 * length;
    default:
      // Characters, and bytes of unknown meaning.
      return length;
  }
}

}  // namespace

std::vector<Info> PluginLayer::infer(const std::vector<const Info*>& inputs) const {
  std::vector<Shape> sizes;
  for (const Info* each : inputs) sizes.push_back(each->dims);
  std::vector<Info> infos;
  for (const PluginOutput& each : outputs) {
    Info info{each.type, {}, {}};
    for (const SharedExpression& dim : each.dims) info.dims.push_back(dim->evaluate(sizes));
    infos.push_back(std::move(info));
  }
  return infos;
}

bool hasPlugin(const Node& node) {
  return creatorOf(node) != nullptr;
}

OwnedPlugin createPlugin(const Node& node) {
  nvinfer1::IPluginCreatorV3One* const creator = creatorOf(node);
  if (creator == nullptr) return nullptr;
  OwnedPlugin plugin = create(*creator, node.name, valuesOf(node, *creator), TensorRTPhase::kBUILD);
  if (plugin == nullptr) throw std::runtime_error("Could not create plugin " + node.op);
  return plugin;
}

PluginLayer describePlugin(nvinfer1::IPluginV3& plugin, const std::vector<const Info*>& inputs) {
  const nvinfer1::IPluginV3OneCore& core = coreOf(plugin);
  PluginLayer layer;
  layer.name = core.getPluginName();
  layer.version = core.getPluginVersion();
  layer.space = core.getPluginNamespace();
  if (std::find(inputs.begin(), inputs.end(), nullptr) != inputs.end())
    throw std::runtime_error("Assertion failed: an input of plugin " + layer.name + " is not set");

  nvinfer1::IPluginV3OneBuild& build = buildOf(plugin);
  const std::int32_t count = build.getNbOutputs();
  if (count < 1) throw std::runtime_error("plugin " + layer.name + " has no outputs");
  const auto outputs = static_cast<std::size_t>(count);
  const auto given = static_cast<std::int32_t>(inputs.size());

  std::vector<DataType> types;
  for (const Info* each : inputs) types.push_back(each->type);
  std::vector<DataType> outputTypes(outputs, DataType::kFLOAT);
  check(build.getOutputDataTypes(outputTypes.data(), count, types.data(), given), layer.name, "getOutputDataTypes");

  ExpressionBuilder expressions;
  std::vector<nvinfer1::DimsExprs> sizes;
  for (std::int32_t i = 0; i < given; ++i)
    sizes.push_back(expressions.ofInput(i, inputs[static_cast<std::size_t>(i)]->dims));
  std::vector<nvinfer1::DimsExprs> made(outputs);
  check(build.getOutputShapes(sizes.data(), given, nullptr, 0, made.data(), count, expressions), layer.name,
        "getOutputShapes");
  for (std::size_t i = 0; i < outputs; ++i) {
    PluginOutput output{outputTypes[i], {}};
    for (std::int32_t d = 0; d < made[i].nbDims; ++d)
      output.dims.push_back(static_cast<const DimensionExpression&>(*made[i].d[d]).expression());
    layer.outputs.push_back(std::move(output));
  }
  return layer;
}

void configurePlugin(nvinfer1::IPluginV3& plugin, const PluginTensors& tensors, PluginLayer& layer) {
  nvinfer1::IPluginV3OneBuild& build = buildOf(plugin);
  const auto inputs = static_cast<std::int32_t>(tensors.inputs.size());
  const auto outputs = static_cast<std::int32_t>(tensors.outputs.size());

  // What comes after the tensor asked about is not valid.
  std::vector<nvinfer1::DynamicPluginTensorDesc> all(tensors.inputs.size() + tensors.outputs.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = i < tensors.inputs.size() ? tensors.inputs[i] : tensors.outputs[i - tensors.inputs.size()];
    if (!build.supportsFormatCombination(static_cast<std::int32_t>(i), all.data(), inputs, outputs))
      throw std::runtime_error("could not find any supported formats consistent with input/output data types of " +
                               layer.name);
  }
  check(build.configurePlugin(tensors.inputs.data(), inputs, tensors.outputs.data(), outputs), layer.name,
        "configurePlugin");
  layer.workspaceBytes = std::max(
      layer.workspaceBytes, build.getWorkspaceSize(tensors.inputs.data(), inputs, tensors.outputs.data(), outputs));

  std::vector<nvinfer1::PluginTensorDesc> in;
  std::vector<nvinfer1::PluginTensorDesc> out;
  for (const auto& each : tensors.inputs) in.push_back({each.opt, each.desc.type, each.desc.format, each.desc.scale});
  for (const auto& each : tensors.outputs) out.push_back({each.opt, each.desc.type, each.desc.format, each.desc.scale});
  check(runtimeOf(plugin).onShapeChange(in.data(), inputs, out.data(), outputs), layer.name, "onShapeChange");
}

void serializePlugin(nvinfer1::IPluginV3& plugin, PluginLayer& layer) {
  const PluginFieldCollection* const fields = runtimeOf(plugin).getFieldsToSerialize();
  if (fields == nullptr) throw std::runtime_error("plugin " + layer.name + " cannot be serialized");
  layer.values.clear();
  for (std::int32_t i = 0; i < fields->nbFields; ++i) {
    const PluginField& field = fields->fields[i];
    layer.values.push_back(
        {field.name, field.type, field.length, std::string(static_cast<const char*>(field.data), fieldBytes(field))});
  }
}

OwnedPlugin restorePlugin(const PluginLayer& layer) {
  nvinfer1::IPluginCreatorV3One* const creator =
      PluginRegistry::instance().find(layer.name, layer.version, layer.space);
  const std::string what = layer.name + ", version: " + layer.version + ", namespace:" + layer.space;
  if (creator == nullptr) throw std::runtime_error("Cannot find plugin: " + what + ".");
  OwnedPlugin plugin = create(*creator, layer.name, layer.values, TensorRTPhase::kRUNTIME);
  if (plugin == nullptr) throw std::runtime_error("Cannot deserialize plugin: " + what + ".");
  return plugin;
}

nvinfer1::IPluginV3OneRuntime& runtimeOf(nvinfer1::IPluginV3& plugin) {
  return capability<nvinfer1::IPluginV3OneRuntime>(plugin, PluginCapabilityType::kRUNTIME);
}

void putPlugin(Writer& to, const PluginLayer& layer) {
  to.put(layer.name);
  to.put(layer.version);
  to.put(layer.space);
  to.list(layer.values, [&](const PluginValue& each) {
    to.put(each.name);
    to.put(each.type);
    to.put(each.length);
    to.put(each.bytes);
  });
  to.list(layer.outputs, [&](const PluginOutput& each) {
    to.put(each.type);
    to.list(each.dims, [&](const SharedExpression& dim) { putExpression(to, *dim); });
  });
  to.put<std::uint64_t>(layer.workspaceBytes);
}

PluginLayer getPlugin(Reader& from) {
  PluginLayer layer;
  layer.name = from.text();
  layer.version = from.text();
  layer.space = from.text();
  from.list([&] {
    PluginValue value;
    value.name = from.text();
    value.type = from.get<PluginFieldType>();
    value.length = from.get<std::int32_t>();
    value.bytes = from.text();
    layer.values.push_back(std::move(value));
  });
  from.list([&] {
    PluginOutput output;
    output.type = from.get<DataType>();
    from.list([&] { output.dims.push_back(getExpression(from)); });
    layer.outputs.push_back(std::move(output));
  });
  layer.workspaceBytes = from.get<std::uint64_t>();
  return layer;
}

}  // namespace simulated_tensorrt
