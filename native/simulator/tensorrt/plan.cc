#include "plan.h"

#include "archive.h"

namespace simulated_tensorrt {

namespace {

using nvinfer1::BuilderFlag;
using nvinfer1::HardwareCompatibilityLevel;

constexpr std::string_view magic = "simulated plan";

template <typename Texts>
void putTexts(Writer& to, const Texts& texts) {
  to.list(texts, [&](const std::string& each) { to.put(each); });
}
void putShape(Writer& to, const Shape& shape) {
  to.list(shape, [&](std::int64_t each) { to.put(each); });
}
void putTensor(Writer& to, const Tensor& tensor) {
  to.put(tensor.type);
  putShape(to, tensor.dims);
  to.put(std::string_view(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size()));
}
void putValues(Writer& to, const std::vector<Value>& values) {
  to.list(values, [&](const Value& each) {
    to.put(each.name);
    to.put(each.type);
    putShape(to, each.dims);
  });
}
void putType(Writer& to, const std::optional<DataType>& type) {
  to.put(type ? static_cast<std::int32_t>(*type) : -1);
}
void putRanges(Writer& to, const std::map<std::string, Range>& ranges) {
  to.list(ranges, [&](const auto& named) {
    to.put(named.first);
    for (const Shape& each : named.second) putShape(to, each);
  });
}
void putNode(Writer& to, const Node& node) {
  to.put(node.name);
  to.put(node.op);
  putTexts(to, node.inputs);
  putTexts(to, node.outputs);
  to.list(node.integers, [&](const auto& named) {
    to.put(named.first);
    putShape(to, named.second);
  });
  to.list(node.tensors, [&](const auto& named) {
    to.put(named.first);
    putTensor(to, named.second);
  });
  putType(to, node.precision);
  putType(to, node.outputType);
  to.put<std::int32_t>(node.plugin ? 1 : 0);
  if (node.plugin) putPlugin(to, *node.plugin);
}

std::vector<std::string> getTexts(Reader& from) {
  std::vector<std::string> texts;
  from.list([&] { texts.push_back(from.text()); });
  return texts;
}
Shape getShape(Reader& from) {
  Shape shape;
  from.list([&] { shape.push_back(from.get<std::int64_t>()); });
  return shape;
}
Tensor getTensor(Reader& from) {
  Tensor tensor;
  tensor.type = from.get<DataType>();
  tensor.dims = getShape(from);
  const std::string data = from.text();
  const auto* bytes = reinterpret_cast<const std::byte*>(data.data());
  tensor.data.assign(bytes, bytes + data.size());
  return tensor;
}
std::vector<Value> getValues(Reader& from) {
  std::vector<Value> values;
  from.list([&] {
    Value value;
    value.name = from.text();
    value.type = from.get<DataType>();
    value.dims = getShape(from);
    values.push_back(std::move(value));
  });
  return values;
}
std::optional<DataType> getType(Reader& from) {
  const auto number = from.get<std::int32_t>();
  if (number < 0) return std::nullopt;
  return static_cast<DataType>(number);
}
std::map<std::string, Range> getRanges(Reader& from) {
  std::map<std::string, Range> ranges;
  from.list([&] {
    Range& range = ranges[from.text()];
    for (Shape& each : range) each = getShape(from);
  });
  return ranges;
}
Node getNode(Reader& from) {
  Node node;
  node.name = from.text();
  node.op = from.text();
  node.inputs = getTexts(from);
  node.outputs = getTexts(from);
  from.list([&] {
    const std::string name = from.text();
    node.integers[name] = getShape(from);
  });
  from.list([&] {
    const std::string name = from.text();
    node.tensors[name] = getTensor(from);
  });
  node.precision = getType(from);
  node.outputType = getType(from);
  if (from.get<std::int32_t>() != 0) node.plugin = getPlugin(from);
  return node;
}

std::string content(const Plan& plan) {
  Writer to;
  to.put(plan.verbosity);
  to.put(plan.tacticSources);
  to.put(plan.optimizationLevel);
  to.put(plan.workspace);
  to.put(plan.auxStreams);
  to.put<std::int32_t>(plan.stronglyTyped ? 1 : 0);
  to.put(plan.name);
  to.put(plan.calibration);
  to.list(plan.profiles, [&](const Ranges& each) {
    putRanges(to, each.shapes);
    putRanges(to, each.values);
  });
  to.put(plan.graph.name);
  putValues(to, plan.graph.inputs);
  putValues(to, plan.graph.outputs);
  to.list(plan.graph.weights, [&](const auto& named) {
    to.put(named.first);
    putTensor(to, named.second);
  });
  to.list(plan.graph.nodes, [&](const Node& each) { putNode(to, each); });
  return to.bytes();
}

void readContent(Reader& from, Plan& plan) {
  plan.verbosity = from.get<nvinfer1::ProfilingVerbosity>();
  plan.tacticSources = from.get<nvinfer1::TacticSources>();
  plan.optimizationLevel = from.get<std::int32_t>();
  plan.workspace = from.get<std::uint64_t>();
  plan.auxStreams = from.get<std::int32_t>();
  plan.stronglyTyped = from.get<std::int32_t>() != 0;
  plan.name = from.text();
  plan.calibration = from.text();
  from.list([&] {
    Ranges ranges;
    ranges.shapes = getRanges(from);
    ranges.values = getRanges(from);
    plan.profiles.push_back(std::move(ranges));
  });
  plan.graph.name = from.text();
  plan.graph.inputs = getValues(from);
  plan.graph.outputs = getValues(from);
  from.list([&] {
    const std::string name = from.text();
    plan.graph.weights[name] = getTensor(from);
  });
  from.list([&] { plan.graph.nodes.push_back(getNode(from)); });
}

PlanError damaged(const std::string& text) {
  return PlanError(1, "Serialization", "Serialization assertion " + text);
}

void checkVersion(const Plan& plan) {
  const Version here = settings().version;
  if (plan.version == here) return;
  if (plan.has(BuilderFlag::kVERSION_COMPATIBLE) && plan.version.major == here.major) return;
  throw damaged("stdVersionRead == kSERIALIZATION_VERSION failed.Version tag does not match. Note: Current Version: " +
                std::to_string(here.number()) +
                ", Serialized Engine Version: " + std::to_string(plan.version.number()));
}

void checkDevice(const Plan& plan, ComputeCapability here) {
  if (plan.capability == here) return;
  if (plan.compatibility == HardwareCompatibilityLevel::kAMPERE_PLUS && here.major >= 8) return;
  throw PlanError(6, "API Usage Error",
                  "The engine plan file is generated on an incompatible device, expecting compute " + here.text() +
                      " got compute " + plan.capability.text() + ", please rebuild.");
}

}  // namespace

std::string write(const Plan& plan) {
  Writer head;
  for (const int each :
       {plan.version.major, plan.version.minor, plan.version.patch, plan.capability.major, plan.capability.minor})
    head.put(each);
  head.put(plan.compatibility);
  head.put(plan.flags);
  Writer to;
  to.put(magic);
  to.put(head.bytes());
  const std::string body = content(plan);
  to.put(body);
  to.put(digest(body, digest(head.bytes())));
  return to.bytes();
}

Plan readPlan(std::string_view bytes, ComputeCapability here) {
  try {
    Reader from(bytes);
    if (bytes.size() < 8 + magic.size() || from.text() != magic)
      throw damaged(
          "magicTagRead == kMAGIC_TAG failed.Trying to load an engine created with incompatible serialization version. "
          "Check that the engine was not created using safety runtime, same OS was used and version compatibility "
          "parameters were set accordingly.");
    const std::string headBytes = from.text();
    Reader head(headBytes);
    const auto number = [&] { return head.get<int>(); };
    Plan plan;
    plan.version = {number(), number(), number()};
    plan.capability = {number(), number()};
    plan.compatibility = head.get<HardwareCompatibilityLevel>();
    plan.flags = head.get<nvinfer1::BuilderFlags>();
    const std::string body = from.text();
    if (from.get<std::uint64_t>() != digest(body, digest(headBytes)) || !from.atEnd())
      throw damaged("checksum == storedChecksum failed.The engine plan file is corrupt.");
    checkVersion(plan);
    checkDevice(plan, here);
    Reader inner(body);
    readContent(inner, plan);
    return plan;
  } catch (const PlanError&) {
    throw;
  } catch (const std::exception&) {
    throw damaged("size - bytesRead >= wanted failed.The engine plan file is truncated.");
  }
}

}  // namespace simulated_tensorrt
