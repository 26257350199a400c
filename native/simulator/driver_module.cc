// Driver functions: modules, their functions, and launches. A module is any image; its functions are the kernels that
// there is a reference for, by name.
#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "call.h"
#include "simulator/kernels/reference.h"

using namespace simulator;

namespace {

std::uintptr_t valueOf(const void* handle) {
  return reinterpret_cast<std::uintptr_t>(handle);
}

// The kernel behind a function; null, and a finding, for one whose module is gone.
const kernels::Reference* find(World& state, CUfunction function, const char* call) {
  const auto found = state.functions.find(valueOf(function));
  if (found != state.functions.end()) return found->second.kernel;
  state.findings.add(SIMULATOR_DEAD_HANDLE,
                     std::string(call) + " of a function whose module was unloaded or never was");
  return nullptr;
}

CUresult launch(World& state, const CUlaunchConfig& config, const kernels::Reference& kernel, void** arguments) {
  const auto stream = state.stream(config.hStream, "cuLaunchKernelEx");
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  for (const std::uint64_t each : {config.gridDimX, config.gridDimY, config.gridDimZ, config.blockDimX})
    if (each == 0) return CUDA_ERROR_INVALID_VALUE;
  if (config.gridDimY > 65535 || config.gridDimZ > 65535 || config.blockDimX > 1024) return CUDA_ERROR_INVALID_VALUE;

  const auto parameters = std::make_shared<std::vector<std::max_align_t>>(
      (kernel.parameterBytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t));
  std::memcpy(parameters->data(), arguments[0], kernel.parameterBytes);
  Work work{.what = std::string(kernel.name),
            .touches = kernel.touches(parameters->data()),
            .run = {},
            .signal = {},
            .report = Report{.grid = {config.gridDimX, config.gridDimY, config.gridDimZ},
                             .block = {config.blockDimX, config.blockDimY, config.blockDimZ},
                             .sharedBytes = config.sharedMemBytes}};
  std::erase_if(work.touches, [](const Touch& each) { return each.bytes == 0; });
  work.run = [&kernel, parameters](const Access&) {
    const std::lock_guard lock(engine());
    kernel.run(parameters->data());
  };
  return state.submit(*stream, std::move(work));
}

}  // namespace

extern "C" {

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  return call(SIMULATOR_SYMBOL(cuModuleLoadData), Needs::context, [&](World& state, Lock&) {
    if (image == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (state.disturbsCapture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    state.modules.emplace(++state.lastHandle, ModuleState{++state.lastModule, currentDevice()});
    *module = reinterpret_cast<CUmodule>(state.lastHandle);
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleUnload(CUmodule module) {
  return callThatFrees(SIMULATOR_SYMBOL(cuModuleUnload), Needs::context, [&](World& state, Lock&) {
    if (state.modules.erase(valueOf(module)) == 0) {
      state.findings.add(SIMULATOR_DEAD_HANDLE, "cuModuleUnload of a module that was unloaded or never was");
      return CUDA_ERROR_INVALID_VALUE;
    }
    std::erase_if(state.functions, [&](const auto& each) { return each.second.module == valueOf(module); });
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  return call(SIMULATOR_SYMBOL(cuModuleGetFunction), Needs::context, [&](World& state, Lock&) {
    if (!state.modules.contains(valueOf(module))) {
      state.findings.add(SIMULATOR_DEAD_HANDLE, "cuModuleGetFunction of a module that was unloaded or never was");
      return CUDA_ERROR_INVALID_VALUE;
    }
    const kernels::Reference* kernel = kernels::findReference(name);
    if (kernel == nullptr) return CUDA_ERROR_NOT_FOUND;
    state.functions.emplace(++state.lastHandle, FunctionState{valueOf(module), kernel});
    *function = reinterpret_cast<CUfunction>(state.lastHandle);
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute, int) {
  return call(SIMULATOR_SYMBOL(cuFuncSetAttribute), Needs::context, [&](World& state, Lock&) {
    return find(state, function, "cuFuncSetAttribute") == nullptr ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
  });
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** arguments, void**) {
  return call(SIMULATOR_SYMBOL(cuLaunchKernelEx), Needs::context, [&](World& state, Lock&) {
    const kernels::Reference* kernel = find(state, function, "cuLaunchKernelEx");
    return kernel == nullptr ? CUDA_ERROR_INVALID_HANDLE : launch(state, *config, *kernel, arguments);
  });
}

}  // extern "C"
