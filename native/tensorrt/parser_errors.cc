#include "parser_errors.h"

namespace tensorrt_node::tensorrt {
namespace {

const char* word(nvonnxparser::ErrorCode code) noexcept {
  using nvonnxparser::ErrorCode;
  switch (code) {
    case ErrorCode::kSUCCESS:
      return "success";
    case ErrorCode::kINTERNAL_ERROR:
      return "internal error";
    case ErrorCode::kMEM_ALLOC_FAILED:
      return "out of memory";
    case ErrorCode::kMODEL_DESERIALIZE_FAILED:
      return "not a readable ONNX model";
    case ErrorCode::kINVALID_VALUE:
      return "invalid value";
    case ErrorCode::kINVALID_GRAPH:
      return "invalid graph";
    case ErrorCode::kINVALID_NODE:
      return "invalid node";
    case ErrorCode::kUNSUPPORTED_GRAPH:
      return "unsupported graph";
    case ErrorCode::kUNSUPPORTED_NODE:
      return "unsupported node";
    case ErrorCode::kUNSUPPORTED_NODE_ATTR:
      return "unsupported attribute";
    case ErrorCode::kUNSUPPORTED_NODE_INPUT:
      return "unsupported input";
    case ErrorCode::kUNSUPPORTED_NODE_DATATYPE:
      return "unsupported data type";
    case ErrorCode::kUNSUPPORTED_NODE_DYNAMIC:
      return "unsupported dynamic shape";
    case ErrorCode::kUNSUPPORTED_NODE_SHAPE:
      return "unsupported shape";
    case ErrorCode::kREFIT_FAILED:
      return "refit failed";
  }
  return "error";
}

std::string orEmpty(const char* text) {
  return text == nullptr ? std::string() : std::string(text);
}

}  // namespace

std::string describe(const nvonnxparser::IParserError& error) {
  std::string line = word(error.code());
  const std::string name = orEmpty(error.nodeName());
  const std::string type = orEmpty(error.nodeOperator());
  if (!name.empty() || !type.empty()) {
    line += " at node " + std::to_string(error.node());
    if (!name.empty()) line += " '" + name + "'";
    if (!type.empty()) line += " (" + type + ")";
  }
  line += ": " + orEmpty(error.desc());
  const std::string file = orEmpty(error.file());
  if (!file.empty()) line += " [" + file + ":" + std::to_string(error.line()) + "]";
  return line;
}

std::string messageOf(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "unknown exception";
  }
}

}  // namespace tensorrt_node::tensorrt
