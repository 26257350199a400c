#include "refitter.h"

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "error.h"
#include "logger.h"
#include "parser_errors.h"

namespace tensorrt_node::tensorrt {
namespace {

constexpr std::size_t kNamed = 10;

// The names of the weights that the engine still waits for; a few of them.
std::string missing(nvinfer1::IRefitter& refitter) {
  const std::int32_t count = refitter.getMissingWeights(0, nullptr);
  if (count <= 0) return {};
  std::vector<const char*> names(static_cast<std::size_t>(count));
  refitter.getMissingWeights(count, names.data());
  std::string text = " (it lacks " + std::to_string(count) + " weights:";
  for (std::size_t i = 0; i < names.size() && i < kNamed; ++i) text += std::string(i == 0 ? " " : ", ") + names[i];
  return text + (names.size() > kNamed ? ", …)" : ")");
}

}  // namespace

void refitFromOnnx(const Libraries& libraries, nvinfer1::ICudaEngine& engine, const std::string& model) {
  const LogCapture log;
  nvinfer1::ILogger& logger = Logger::instance();
  const auto createRefitter = libraries.infer<decltype(createInferRefitter_INTERNAL)>("createInferRefitter_INTERNAL");
  const auto createParser =
      libraries.parser<decltype(createNvOnnxParserRefitter_INTERNAL)>("createNvOnnxParserRefitter_INTERNAL");
  const std::unique_ptr<nvinfer1::IRefitter> refitter(
      static_cast<nvinfer1::IRefitter*>(createRefitter(&engine, &logger, NV_TENSORRT_VERSION)));
  // Plans for refits with the same weights do not call themselves refittable, so that is not asked first.
  if (refitter == nullptr)
    throw TensorrtError(
        "createInferRefitter",
        log.explain(engine.isRefittable() ? "TensorRT makes no refitter for the engine"
                                          : "the plan was built without 'refit': its weights are fixed"),
        "build it with refit");
  const std::unique_ptr<nvonnxparser::IParserRefitter> parser(
      static_cast<nvonnxparser::IParserRefitter*>(createParser(refitter.get(), &logger, NV_ONNX_PARSER_VERSION)));
  if (parser == nullptr)
    throw TensorrtError("createParserRefitter", log.explain("TensorRT makes no parser to refit with"));
  if (!parser->refitFromFile(model.c_str())) throw parserError(*parser, "IParserRefitter::refitFromFile", model, log);
  if (!refitter->refitCudaEngine())
    throw TensorrtError("IRefitter::refitCudaEngine",
                        log.explain(model + ": the engine does not take its weights" + missing(*refitter)),
                        "refit from the model that the plan was built from, or one equal to it but for weights");
}

}  // namespace tensorrt_node::tensorrt
