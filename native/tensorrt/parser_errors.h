// What the ONNX parser says is wrong with a model, as one error.
#pragma once

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <exception>
#include <string>
#include <vector>

#include "error.h"
#include "logger.h"

namespace tensorrt_node::tensorrt {

// One line: code, description, node and the place in the parser.
std::string describe(const nvonnxparser::IParserError& error);

std::string messageOf(const std::exception_ptr& error);

// Of a parser or a refitter's parser that failed on `model`; falls back on what was logged.
template <typename Parser>
TensorrtError parserError(const Parser& parser, const char* call, const std::string& model, const LogCapture& log) {
  std::vector<std::string> lines;
  const auto count = parser.getNbErrors();
  for (auto i = decltype(count){0}; i < count; ++i) lines.push_back(describe(*parser.getError(i)));
  if (lines.empty()) lines = log.errors();
  // The parser does not say what a plugin said.
  if (log.cause() != nullptr) lines.push_back(messageOf(log.cause()));
  return TensorrtError(call, withLines(model + ": TensorRT's ONNX parser refuses it", lines),
                       "check the model with onnx.checker; operators that TensorRT lacks need a plugin");
}

}  // namespace tensorrt_node::tensorrt
