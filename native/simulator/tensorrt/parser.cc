// What libnvonnxparser exports.
#include "parser.h"

#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include "graph.h"
#include "log.h"
#include "network.h"
#include "not_simulated.h"
#include "onnx_reader.h"
#include "operators.h"
#include "plugin.h"
#include "settings.h"

using namespace simulated_tensorrt;

namespace {

using nvonnxparser::ErrorCode;

std::string folderOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::optional<std::string> contentOf(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Bytes bytesOf(const void* data, std::size_t size) {
  return {static_cast<const std::byte*>(data), size};
}

// The errors of both parsers.
class Errors {
 public:
  explicit Errors(nvinfer1::ILogger& logger) : logger_(logger) {}

  bool add(ErrorCode code, const std::string& text) {
    ParserError error;
    error.number = code;
    error.description = text;
    return add(std::move(error));
  }
  bool add(ErrorCode code, const std::string& text, std::size_t index, const Node& node) {
    ParserError error;
    error.number = code;
    error.description = text;
    error.nodeIndex = static_cast<int>(index);
    error.name = node.name;
    error.op = node.op;
    return add(std::move(error));
  }

  int count() const { return static_cast<int>(errors_.size()); }
  const nvonnxparser::IParserError* at(int index) const {
    return index >= 0 && index < count() ? &errors_[static_cast<std::size_t>(index)] : nullptr;
  }
  void clear() { errors_.clear(); }

 private:
  bool add(ParserError error) {
    const std::string where = error.nodeIndex < 0 ? ""
                                                  : "While parsing node number " + std::to_string(error.nodeIndex) +
                                                        " [" + error.op + " -> \"" + error.name + "\"]: ";
    log(logger_, Severity::kERROR, where + error.description);
    errors_.push_back(std::move(error));
    return false;
  }

  nvinfer1::ILogger& logger_;
  std::deque<ParserError> errors_;
};

class Parser final : public nvonnxparser::IParser {
 public:
  Parser(Network& network, nvinfer1::ILogger& logger) : network_(network), errors_(logger) {}

  bool parse(void const* model, size_t size, const char* path) noexcept override {
    if (settings().failParse) return errors_.add(ErrorCode::kINTERNAL_ERROR, "Assertion failed as the settings wish.");
    Graph graph;
    try {
      graph = readOnnx(bytesOf(model, size), folderOf(path == nullptr ? "" : path));
    } catch (const std::exception& problem) {
      return errors_.add(ErrorCode::kMODEL_DESERIALIZE_FAILED,
                         std::string("Failed to parse the ONNX model: ") + problem.what());
    }
    return take(std::move(graph));
  }
  bool parseFromFile(const char* path, int) noexcept override {
    const auto content = contentOf(path);
    if (!content) return errors_.add(ErrorCode::kMODEL_DESERIALIZE_FAILED, std::string("Could not open file ") + path);
    return parse(content->data(), content->size(), path);
  }
  bool supportsOperator(const char* name) const noexcept override { return findOperator(name) != nullptr; }
  int getNbErrors() const noexcept override { return errors_.count(); }
  nvonnxparser::IParserError const* getError(int index) const noexcept override { return errors_.at(index); }
  void clearErrors() noexcept override { errors_.clear(); }
  void setFlags(nvonnxparser::OnnxParserFlags flags) noexcept override { flags_ = flags; }
  nvonnxparser::OnnxParserFlags getFlags() const noexcept override { return flags_; }
  void clearFlag(nvonnxparser::OnnxParserFlag flag) noexcept override { flags_ &= ~(1U << static_cast<int>(flag)); }
  void setFlag(nvonnxparser::OnnxParserFlag flag) noexcept override { flags_ |= 1U << static_cast<int>(flag); }
  bool getFlag(nvonnxparser::OnnxParserFlag flag) const noexcept override {
    return (flags_ >> static_cast<int>(flag) & 1) != 0;
  }
  char const* const* getUsedVCPluginLibraries(int64_t& count) const noexcept override {
    count = 0;
    return nullptr;
  }

#define INTERFACE "nvonnxparser::IParser"
  NOT_SIMULATED(bool, supportsModel, (void const*, size_t, SubGraphCollection_t&, const char*), )
  NOT_SIMULATED(bool, parseWithWeightDescriptors, (void const*, size_t), )
  NOT_SIMULATED(nvinfer1::ITensor const*, getLayerOutputTensor, (char const*, int64_t), )
  NOT_SIMULATED(bool, supportsModelV2, (void const*, size_t, char const*), )
  NOT_SIMULATED(int64_t, getNbSubgraphs, (), )
  NOT_SIMULATED(bool, isSubgraphSupported, (int64_t const), )
  NOT_SIMULATED(int64_t*, getSubgraphNodes, (int64_t const, int64_t&), )
  NOT_SIMULATED(bool, loadModelProto, (void const*, size_t, char const*), )
  NOT_SIMULATED(bool, loadInitializer, (char const*, void const*, size_t), )
  NOT_SIMULATED(bool, parseModelProto, (), )
  NOT_SIMULATED(bool, setBuilderConfig, (const nvinfer1::IBuilderConfig* const), )
#undef INTERFACE

 private:
  bool take(Graph graph) {
    for (std::size_t i = 0; i < graph.nodes.size(); ++i)
      if (findOperator(graph.nodes[i].op) == nullptr && !hasPlugin(graph.nodes[i]))
        return errors_.add(ErrorCode::kUNSUPPORTED_NODE,
                           "No importer registered for op: " + graph.nodes[i].op +
                               ". Plugin not found, are the plugin name, version, and namespace correct?",
                           i, graph.nodes[i]);
    try {
      network_.take(graph);
      return true;
    } catch (const NodeError& problem) {
      return errors_.add(ErrorCode::kINVALID_NODE, problem.what(), problem.node, graph.nodes[problem.node]);
    } catch (const std::exception& problem) {
      return errors_.add(ErrorCode::kINVALID_GRAPH, problem.what());
    }
  }

  Network& network_;
  Errors errors_;
  nvonnxparser::OnnxParserFlags flags_ = 0;
};

class ParserRefitter final : public nvonnxparser::IParserRefitter {
 public:
  ParserRefitter(nvinfer1::IRefitter& refitter, nvinfer1::ILogger& logger) : refitter_(refitter), errors_(logger) {}

  bool refitFromBytes(void const* model, size_t size, char const* path) noexcept override {
    try {
      const Graph graph = readOnnx(bytesOf(model, size), folderOf(path == nullptr ? "" : path));
      for (const auto& [name, weights] : graph.weights)
        if (!refitter_.setNamedWeights(
                name.c_str(), {weights.type, weights.data.data(), static_cast<std::int64_t>(elementsOf(weights.dims))}))
          return errors_.add(ErrorCode::kREFIT_FAILED, "Failed to refit the weights " + name);
      return true;
    } catch (const std::exception& problem) {
      return errors_.add(ErrorCode::kMODEL_DESERIALIZE_FAILED,
                         std::string("Failed to parse the ONNX model: ") + problem.what());
    }
  }
  bool refitFromFile(char const* path) noexcept override {
    const auto content = contentOf(path);
    if (!content) return errors_.add(ErrorCode::kMODEL_DESERIALIZE_FAILED, std::string("Could not open file ") + path);
    return refitFromBytes(content->data(), content->size(), path);
  }
  int32_t getNbErrors() const noexcept override { return errors_.count(); }
  nvonnxparser::IParserError const* getError(int32_t index) const noexcept override { return errors_.at(index); }
  void clearErrors() override { errors_.clear(); }

#define INTERFACE "nvonnxparser::IParserRefitter"
  NOT_SIMULATED(bool, loadModelProto, (void const*, size_t, char const*), )
  NOT_SIMULATED(bool, loadInitializer, (char const*, void const*, size_t), )
  NOT_SIMULATED(bool, refitModelProto, (), )
#undef INTERFACE

 private:
  nvinfer1::IRefitter& refitter_;
  Errors errors_;
};

}  // namespace

extern "C" {

void* createNvOnnxParser_INTERNAL(void* network, void* logger, int) noexcept {
  if (network == nullptr || logger == nullptr || settings().noParser) return nullptr;
  auto& definition = static_cast<Network&>(*static_cast<nvinfer1::INetworkDefinition*>(network));
  return static_cast<nvonnxparser::IParser*>(
      std::make_unique<Parser>(definition, *static_cast<nvinfer1::ILogger*>(logger)).release());
}

void* createNvOnnxParserRefitter_INTERNAL(void* refitter, void* logger, int32_t) noexcept {
  if (refitter == nullptr || logger == nullptr || settings().noParser) return nullptr;
  return static_cast<nvonnxparser::IParserRefitter*>(
      std::make_unique<ParserRefitter>(*static_cast<nvinfer1::IRefitter*>(refitter),
                                       *static_cast<nvinfer1::ILogger*>(logger))
          .release());
}

int getNvOnnxParserVersion() noexcept {
  return settings().version.number();
}

}  // extern "C"
