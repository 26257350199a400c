// nvonnxparser's interfaces over the ONNX reader.
#pragma once

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <deque>
#include <string>

namespace simulated_tensorrt {

struct ParserError final : nvonnxparser::IParserError {
  nvonnxparser::ErrorCode number = nvonnxparser::ErrorCode::kSUCCESS;
  std::string description;
  int nodeIndex = -1;
  std::string name;
  std::string op;

  nvonnxparser::ErrorCode code() const override { return number; }
  char const* desc() const override { return description.c_str(); }
  char const* file() const override { return "simulated ModelImporter.cpp"; }
  int line() const override { return 1; }
  char const* func() const override { return "parseNode"; }
  int node() const override { return nodeIndex; }
  char const* nodeName() const override { return name.c_str(); }
  char const* nodeOperator() const override { return op.c_str(); }
  char const* const* localFunctionStack() const override { return nullptr; }
  int32_t localFunctionStackSize() const override { return 0; }
};

}  // namespace simulated_tensorrt
