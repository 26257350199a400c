#include "report.h"

#include <exception>
#include <string>

#include "../../cuda/error.h"
#include "../error.h"
#include "../logger.h"

namespace tensorrt_node::tensorrt::plugins {
namespace {

std::string log(const char* plugin, const char* call, const char* what) {
  std::string line = std::string("plugin ") + plugin + ", " + call + ": " + what;
  nvinfer1::ILogger& logger = Logger::instance();
  logger.log(nvinfer1::ILogger::Severity::kERROR, line.c_str());
  return line;
}

}  // namespace

void report(const char* plugin, const char* call) noexcept {
  try {
    try {
      throw;
    } catch (const cuda::CudaError& error) {
      LogCapture::attach(std::current_exception());
      log(plugin, call, error.what());
    } catch (const std::exception& error) {
      const std::string message = log(plugin, call, error.what());
      LogCapture::attach(std::make_exception_ptr(TensorrtError(call, message)));
    }
  } catch (...) {
    // No memory for words: the status that TensorRT gets has to do.
    return;
  }
}

}  // namespace tensorrt_node::tensorrt::plugins
