#include "cupti.h"

#include <string_view>

#include "tensorrt/error.h"

namespace tensorrt_node::profile {

namespace {

constexpr const char* installHint =
    "install CUPTI: it is part of the CUDA toolkit (extras/CUPTI), or `pip install nvidia-cuda-cupti` (CUDA 13) or "
    "`nvidia-cuda-cupti-cu12`; CUPTI_LIBRARY names the file where it is nowhere that is looked";

template <typename Function>
void find(const tensorrt::SharedLibrary& library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(library.find(symbol));
}

template <typename Function>
void require(const tensorrt::SharedLibrary& library, const char* symbol, Function& function) {
  find(library, symbol, function);
  if (function == nullptr) throw tensorrt::UnsupportedError(std::string("it has no function ") + symbol);
}

// Of CUptiResult, what a user meets.
constexpr int success = 0;
const char* hintFor(int result) noexcept {
  switch (result) {
    case 35:  // CUPTI_ERROR_INSUFFICIENT_PRIVILEGES
    case 40:  // CUPTI_ERROR_VIRTUALIZED_DEVICE_INSUFFICIENT_PRIVILEGES
      return "let users profile (the kernel module's option NVreg_RestrictProfilingToAdminUsers=0), or run as root or "
             "with CAP_SYS_ADMIN";
    case 39:  // CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED
      return "another profiler is attached to this process: end it first";
    case 14:  // CUPTI_ERROR_NOT_COMPATIBLE
    case 15:  // CUPTI_ERROR_NOT_INITIALIZED
      return "CUPTI must not be newer than the driver: try the one of an older CUDA";
    case 33:  // CUPTI_ERROR_VIRTUALIZED_DEVICE_NOT_SUPPORTED
    case 41:  // CUPTI_ERROR_CONFIDENTIAL_COMPUTING_NOT_SUPPORTED
    case 42:  // CUPTI_ERROR_CMP_DEVICE_NOT_SUPPORTED
    case 43:  // CUPTI_ERROR_MIG_DEVICE_NOT_SUPPORTED
    case 45:  // CUPTI_ERROR_WSL_DEVICE_NOT_SUPPORTED
      return "this GPU, as it is set up, cannot be profiled";
    default:
      return "";
  }
}

}  // namespace

Cupti::Cupti(const tensorrt::SharedLibrary& library) : path_(library.path()) {
  require(library, "cuptiGetVersion", getVersion);
  require(library, "cuptiGetResultString", getResultString);
  require(library, "cuptiGetTimestamp", getTimestamp);
  require(library, "cuptiGetContextId", getContextId);
  require(library, "cuptiGetStreamIdEx", getStreamId);
  require(library, "cuptiActivityRegisterCallbacks", registerCallbacks);
  require(library, "cuptiActivityRegisterTimestampCallback", registerTimestamp);
  require(library, "cuptiActivityEnable", enable);
  require(library, "cuptiActivityDisable", disable);
  require(library, "cuptiActivityGetNextRecord", nextRecord);
  require(library, "cuptiActivityGetNumDroppedRecords", droppedRecords);
  require(library, "cuptiActivityFlushAll", flushAll);
  require(library, "cuptiActivityFlushPeriod", flushPeriod);
  require(library, "cuptiActivityPushExternalCorrelationId", pushCorrelation);
  require(library, "cuptiActivityPopExternalCorrelationId", popCorrelation);
  check(getVersion(&version_), "cuptiGetVersion");
  if (version_ < cupti::oldestVersion)
    throw tensorrt::UnsupportedError("it is of CUDA 11 or older (version " + std::to_string(version_) + ")");
  library.keep();
}

Cupti Cupti::open(const std::vector<std::string>& candidates) {
  std::string reasons;
  for (const std::string& candidate : candidates) {
    try {
      const tensorrt::SharedLibrary library(candidate);
      return Cupti(library);
    } catch (const std::exception& error) {
      reasons += "\n  " + candidate + ": " + error.what();
    }
  }
  throw tensorrt::UnsupportedError("the GPU's activities cannot be collected without CUPTI:" + reasons, installHint);
}

void Cupti::check(int result, const char* call) const {
  if (result == success) return;
  const char* name = nullptr;
  getResultString(result, &name);
  throw tensorrt::UnsupportedError(
      std::string(call) + " failed with " + (name != nullptr ? name : "CUptiResult " + std::to_string(result)),
      hintFor(result));
}

}  // namespace tensorrt_node::profile
