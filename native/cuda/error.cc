#include "error.h"

#include <algorithm>
#include <array>
#include <utility>

#include "driver.h"

namespace tensorrt_node::cuda {

namespace {

struct KnownCode {
  CUresult result;
  std::string_view name;
  std::string_view hint;
};

// Codes that users meet and can do something about. The names serve where no driver is loaded to give them.
constexpr std::array knownCodes{
    KnownCode{CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "the driver is not loaded"},
    KnownCode{CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE",
              "the driver sees no GPU: check nvidia-smi, CUDA_VISIBLE_DEVICES, and that the container was given one"},
    KnownCode{CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE",
              "devices count from 0, and CUDA_VISIBLE_DEVICES hides some"},
    KnownCode{CUDA_ERROR_STUB_LIBRARY, "CUDA_ERROR_STUB_LIBRARY",
              "the CUDA toolkit's stub is loaded instead of the driver: take its folder off LD_LIBRARY_PATH"},
    KnownCode{CUDA_ERROR_DEVICE_UNAVAILABLE, "CUDA_ERROR_DEVICE_UNAVAILABLE",
              "another process holds the GPU in exclusive mode"},
    KnownCode{CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "free memory, or ask for less"},
    KnownCode{CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU",
              "this build has no machine code for the GPU's compute capability"},
    KnownCode{CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
              "the driver is older than the toolkit that made the code: update the driver"},
    KnownCode{CUDA_ERROR_OPERATING_SYSTEM, "CUDA_ERROR_OPERATING_SYSTEM",
              "the process may lack access to /dev/nvidia*, or may lock too little memory (ulimit -l)"},
    KnownCode{CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS",
              "the GPU's state in this process is lost: start it anew"},
    KnownCode{CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED",
              "the GPU's state in this process is lost: start it anew"},
    KnownCode{CUDA_ERROR_SYSTEM_NOT_READY, "CUDA_ERROR_SYSTEM_NOT_READY",
              "a service of the driver is not running, on NVSwitch machines nvidia-fabricmanager"},
    KnownCode{CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
              "libcuda and the kernel module are of different versions: reboot after a driver update"},
    KnownCode{CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
              "a forward-compatibility libcuda is loaded on a GPU that has none: remove cuda-compat"},
    KnownCode{CUDA_ERROR_UNKNOWN, "CUDA_ERROR_UNKNOWN", "often the kernel module nvidia_uvm is not loaded"},
};

const KnownCode* known(CUresult result) noexcept {
  const auto* found =
      std::find_if(knownCodes.begin(), knownCodes.end(), [&](const KnownCode& each) { return each.result == result; });
  return found == knownCodes.end() ? nullptr : found;
}

std::string describe(CUresult result, std::string_view detail) {
  std::string text;
  const char* words = nullptr;
  const auto* table = driverIfLoaded();
  if (table != nullptr && table->cuGetErrorString(result, &words) == CUDA_SUCCESS && words != nullptr) text = words;
  if (!detail.empty()) text.append(text.empty() ? "" : ": ").append(detail);
  return text;
}

std::string message(std::string_view call, const std::string& name, const std::string& description,
                    const std::string& hint) {
  std::string text(call);
  text.append(" failed with ").append(name);
  if (!description.empty()) text.append(": ").append(description);
  if (!hint.empty()) text.append(" (").append(hint).append(")");
  return text;
}

}  // namespace

CudaError::CudaError(CUresult result, std::string_view call, std::string_view detail, std::string_view hint)
    : CudaError(result, call, cuda::codeName(result), describe(result, detail),
                std::string(hint.empty() ? hintFor(result) : hint)) {}

CudaError::CudaError(CUresult result, std::string_view call, std::string codeName, std::string description,
                     std::string hint)
    : std::runtime_error(message(call, codeName, description, hint)),
      result_(result),
      call_(call),
      codeName_(std::move(codeName)),
      description_(std::move(description)),
      hint_(std::move(hint)) {}

void fail(CUresult result, std::string_view call, std::string_view detail) {
  throw CudaError(result, call, detail);
}

std::string codeName(CUresult result) {
  const char* name = nullptr;
  const auto* table = driverIfLoaded();
  if (table != nullptr && table->cuGetErrorName(result, &name) == CUDA_SUCCESS && name != nullptr) return name;
  if (const auto* code = known(result)) return std::string(code->name);
  return "CUDA error " + std::to_string(static_cast<int>(result));
}

std::string_view hintFor(CUresult result) noexcept {
  const auto* code = known(result);
  return code == nullptr ? std::string_view{} : code->hint;
}

}  // namespace tensorrt_node::cuda
