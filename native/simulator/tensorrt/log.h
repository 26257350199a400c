// Words to TensorRT's logger.
#pragma once

#include <NvInferRuntime.h>

#include <string>

namespace simulated_tensorrt {

using Severity = nvinfer1::ILogger::Severity;

inline void log(nvinfer1::ILogger& logger, Severity severity, const std::string& text) {
  logger.log(severity, text.c_str());
}

// As TensorRT words its errors: "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (…)".
inline void error(nvinfer1::ILogger& logger, const std::string& method, int code, const char* name,
                  const std::string& text) {
  log(logger, Severity::kERROR, method + ": Error Code " + std::to_string(code) + ": " + name + " (" + text + ")");
}

inline void usageError(nvinfer1::ILogger& logger, const std::string& method, const std::string& text) {
  error(logger, method, 3, "API Usage Error", text);
}

}  // namespace simulated_tensorrt
