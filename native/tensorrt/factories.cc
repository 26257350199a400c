#include "factories.h"

#include <cstdint>
#include <string>

#include "error.h"
#include "logger.h"

namespace tensorrt_node::tensorrt {
namespace {

template <typename Object>
std::unique_ptr<Object> owned(Object* object, const char* call, const LogCapture& log) {
  if (object == nullptr) throw TensorrtError(call, log.explain(std::string(call) + " failed"));
  return std::unique_ptr<Object>(object);
}

}  // namespace

std::unique_ptr<nvinfer1::IBuilder> createBuilder(const Libraries& libraries) {
  const LogCapture log;
  nvinfer1::ILogger& logger = Logger::instance();
  auto* const create = libraries.infer<decltype(createInferBuilder_INTERNAL)>("createInferBuilder_INTERNAL");
  return owned(static_cast<nvinfer1::IBuilder*>(create(&logger, NV_TENSORRT_VERSION)), "createInferBuilder", log);
}

std::unique_ptr<nvinfer1::IBuilderConfig> createConfig(nvinfer1::IBuilder& builder) {
  const LogCapture log;
  return owned(builder.createBuilderConfig(), "IBuilder::createBuilderConfig", log);
}

std::unique_ptr<nvinfer1::INetworkDefinition> createNetwork(nvinfer1::IBuilder& builder, bool stronglyTyped) {
  const LogCapture log;
  constexpr auto bit = static_cast<std::uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
  return owned(builder.createNetworkV2(stronglyTyped ? 1U << bit : 0U), "IBuilder::createNetworkV2", log);
}

std::unique_ptr<nvonnxparser::IParser> createParser(const Libraries& libraries, nvinfer1::INetworkDefinition& network) {
  const LogCapture log;
  nvinfer1::ILogger& logger = Logger::instance();
  auto* const create = libraries.parser<decltype(createNvOnnxParser_INTERNAL)>("createNvOnnxParser_INTERNAL");
  return owned(static_cast<nvonnxparser::IParser*>(create(&network, &logger, NV_ONNX_PARSER_VERSION)), "createParser",
               log);
}

}  // namespace tensorrt_node::tensorrt
