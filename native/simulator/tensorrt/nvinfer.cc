// What libnvinfer exports.
#include <NvInfer.h>

#include <memory>
#include <string>

#include "builder.h"
#include "engine.h"
#include "log.h"
#include "refitter.h"
#include "runtime.h"
#include "settings.h"

using namespace simulated_tensorrt;

namespace {

// TensorRT without a driver ends the process or hands out objects that crash; here it says why.
bool serves(nvinfer1::ILogger* logger, std::int32_t version, const char* factory) {
  if (logger == nullptr || version / 10000 != settings().version.major) return false;
  if (hasContext()) return true;
  end(std::string(factory) + " without a current CUDA context");
}

}  // namespace

extern "C" {

void* createInferBuilder_INTERNAL(void* logger, int32_t version) noexcept {
  auto* const log = static_cast<nvinfer1::ILogger*>(logger);
  if (!serves(log, version, "createInferBuilder_INTERNAL")) return nullptr;
  return static_cast<nvinfer1::IBuilder*>(std::make_unique<Builder>(*log).release());
}

void* createInferRuntime_INTERNAL(void* logger, int32_t version) noexcept {
  auto* const log = static_cast<nvinfer1::ILogger*>(logger);
  if (!serves(log, version, "createInferRuntime_INTERNAL")) return nullptr;
  return static_cast<nvinfer1::IRuntime*>(std::make_unique<Runtime>(*log).release());
}

void* createInferRefitter_INTERNAL(void* engine, void* logger, int32_t version) noexcept {
  auto* const log = static_cast<nvinfer1::ILogger*>(logger);
  if (engine == nullptr || !serves(log, version, "createInferRefitter_INTERNAL")) return nullptr;
  return Refitter::make(static_cast<Engine&>(*static_cast<nvinfer1::ICudaEngine*>(engine)), *log);
}

int32_t getInferLibVersion() noexcept {
  return settings().version.number();
}

}  // extern "C"
