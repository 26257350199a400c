#include "plugins.h"

#include <NvInferPlugin.h>

#include <mutex>
#include <optional>
#include <string>

#include "error.h"
#include "logger.h"
#include "plugins/registration.h"
#include "shared_library.h"

namespace tensorrt_node::tensorrt {
namespace {

constexpr const char* kPlugins = "libnvinfer_plugin.so.10";

std::optional<SharedLibrary> openPlugins(const std::string& inferPath) {
  for (const std::string& name : {inferPath.substr(0, inferPath.rfind('/') + 1) + kPlugins, std::string(kPlugins)}) {
    try {
      return SharedLibrary(name);
    } catch (const TensorrtError& error) {
      Logger::instance().log(nvinfer1::ILogger::Severity::kVERBOSE, error.what());
    }
  }
  return std::nullopt;
}

}  // namespace

void registerPlugins(const Libraries& libraries) {
  static std::mutex mutex;
  static bool done = false;
  const std::lock_guard lock(mutex);
  if (done) return;
  plugins::registerOperators(libraries);
  const std::optional<SharedLibrary> library = openPlugins(libraries.inferPath());
  if (!library) {
    done = true;
    return;
  }
  // The registry keeps pointers into it.
  library->keep();
  const auto initialise = reinterpret_cast<decltype(&initLibNvInferPlugins)>(library->find("initLibNvInferPlugins"));
  if (initialise == nullptr)
    throw TensorrtError("dlsym", library->path() + ": is not TensorRT's plugin library: no initLibNvInferPlugins");
  const LogCapture log;
  nvinfer1::ILogger& logger = Logger::instance();
  if (!initialise(&logger, ""))
    throw TensorrtError("initLibNvInferPlugins", log.explain("the plugins do not register"));
  done = true;
}

}  // namespace tensorrt_node::tensorrt
