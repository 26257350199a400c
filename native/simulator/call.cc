#include "call.h"

#include <string>

namespace simulator {

namespace {

constexpr std::uintptr_t firstContext = 0xC0'0000'0000;

}  // namespace

CUresult refuse(World& state, std::string_view symbol, Needs needs) {
  if (runningHostFunction() != nullptr) {
    state.findings.add(SIMULATOR_CALL_IN_HOST_FUNCTION, std::string(symbol));
    return CUDA_ERROR_NOT_PERMITTED;
  }
  if (state.deinitialised) return CUDA_ERROR_DEINITIALIZED;
  if (needs != Needs::nothing && !state.initialised) return CUDA_ERROR_NOT_INITIALIZED;
  if (needs == Needs::context) {
    if (contextStack().empty()) return CUDA_ERROR_INVALID_CONTEXT;
    const auto device = static_cast<std::size_t>(currentDevice());
    if (device >= state.devices.size() || state.devices[device].retained == 0) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  }
  return CUDA_SUCCESS;
}

int currentDevice() {
  return deviceOf(contextStack().back());
}

CUcontext contextOf(int device) noexcept {
  return reinterpret_cast<CUcontext>(firstContext + static_cast<std::uintptr_t>(device));
}

int deviceOf(CUcontext context) noexcept {
  return static_cast<int>(reinterpret_cast<std::uintptr_t>(context) - firstContext);
}

}  // namespace simulator
