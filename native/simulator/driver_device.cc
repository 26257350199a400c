// Driver functions: start, versions, error names, devices and contexts.
#include <array>
#include <cstdio>
#include <cstring>

#include "call.h"

using namespace simulator;

namespace {

struct ErrorText {
  CUresult code;
  const char* name;
  const char* text;
};
constexpr std::array errorTexts{
    ErrorText{CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    ErrorText{CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    ErrorText{CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    ErrorText{CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    ErrorText{CUDA_ERROR_DEINITIALIZED, "CUDA_ERROR_DEINITIALIZED", "driver shutting down"},
    ErrorText{CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    ErrorText{CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    ErrorText{CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    ErrorText{CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    ErrorText{CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    ErrorText{CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    ErrorText{CUDA_ERROR_CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    ErrorText{CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    ErrorText{CUDA_ERROR_NOT_PERMITTED, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    ErrorText{CUDA_ERROR_ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE",
              "the operation cannot be performed in the present state"},
    ErrorText{CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    ErrorText{CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
              "operation not permitted when stream is capturing"},
    ErrorText{CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
              "operation failed due to a previous error during capture"},
    ErrorText{CUDA_ERROR_STREAM_CAPTURE_MERGE, "CUDA_ERROR_STREAM_CAPTURE_MERGE",
              "operation would result in a merge of separate capture sequences"},
    ErrorText{CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
              "capture was not ended in the same stream as it began"},
    ErrorText{CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED",
              "capturing stream has unjoined work"},
    ErrorText{CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
              "dependency created on uncaptured work in another stream"},
    ErrorText{CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
              "operation would make the legacy stream depend on a capturing blocking stream"},
    ErrorText{CUDA_ERROR_CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT",
              "operation not permitted on an event last recorded in a capturing stream"},
    ErrorText{CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
              "attempt to terminate a thread-local capture sequence from another thread"},
    ErrorText{CUDA_ERROR_UNKNOWN, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

CUresult errorText(CUresult code, const char** out, const char* ErrorText::*field) {
  for (const ErrorText& each : errorTexts) {
    if (each.code != code) continue;
    *out = each.*field;
    return CUDA_SUCCESS;
  }
  *out = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}

bool exists(const World& state, CUdevice device) {
  return device >= 0 && static_cast<std::size_t>(device) < state.devices.size();
}

}  // namespace

extern "C" {

CUresult cuGetErrorName(CUresult code, const char** name) {
  return errorText(code, name, &ErrorText::name);
}

CUresult cuGetErrorString(CUresult code, const char** text) {
  return errorText(code, text, &ErrorText::text);
}

CUresult cuInit(unsigned flags) {
  return call(SIMULATOR_SYMBOL(cuInit), Needs::nothing, [&](World& state, Lock&) {
    if (flags != 0 || state.misconfigured) return CUDA_ERROR_INVALID_VALUE;
    if (state.devices.empty()) return CUDA_ERROR_NO_DEVICE;
    state.initialised = true;
    return CUDA_SUCCESS;
  });
}

CUresult cuDriverGetVersion(int* version) {
  return call(SIMULATOR_SYMBOL(cuDriverGetVersion), Needs::nothing, [&](World&, Lock&) {
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetCount(int* count) {
  return call(SIMULATOR_SYMBOL(cuDeviceGetCount), Needs::initialised, [&](World& state, Lock&) {
    *count = static_cast<int>(state.devices.size());
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return call(SIMULATOR_SYMBOL(cuDeviceGet), Needs::initialised, [&](World& state, Lock&) {
    if (!exists(state, ordinal)) return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  return call(SIMULATOR_SYMBOL(cuDeviceGetName), Needs::initialised, [&](World& state, Lock&) {
    if (!exists(state, device)) return CUDA_ERROR_INVALID_DEVICE;
    std::snprintf(name, static_cast<std::size_t>(length), "Simulated GPU %d", device);
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetPCIBusId(char* id, int length, CUdevice device) {
  return call(SIMULATOR_SYMBOL(cuDeviceGetPCIBusId), Needs::initialised, [&](World& state, Lock&) {
    if (!exists(state, device)) return CUDA_ERROR_INVALID_DEVICE;
    std::snprintf(id, static_cast<std::size_t>(length), "0000:%02X:00.0", static_cast<unsigned>(device + 1));
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
  return call(SIMULATOR_SYMBOL(cuDeviceGetUuid), Needs::initialised, [&](World& state, Lock&) {
    if (!exists(state, device)) return CUDA_ERROR_INVALID_DEVICE;
    std::memcpy(uuid->bytes, "simulated GPU   ", sizeof uuid->bytes);
    uuid->bytes[sizeof uuid->bytes - 1] = static_cast<char>(device);
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceTotalMem(std::size_t* bytes, CUdevice device) {
  return call(SIMULATOR_SYMBOL(cuDeviceTotalMem), Needs::initialised, [&](World& state, Lock&) {
    if (!exists(state, device)) return CUDA_ERROR_INVALID_DEVICE;
    *bytes = state.config.deviceBytes;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  return call(SIMULATOR_SYMBOL(cuDeviceGetAttribute), Needs::initialised, [&](World& state, Lock&) {
    if (!exists(state, device)) return CUDA_ERROR_INVALID_DEVICE;
    switch (attribute) {
      case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
        *value = 9;
        return CUDA_SUCCESS;
      case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
        *value = 0;
        return CUDA_SUCCESS;
      case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
        *value = 132;
        return CUDA_SUCCESS;
      case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
        *value = 227 << 10;
        return CUDA_SUCCESS;
      case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
        *value = state.config.virtualMemory != 0 ? 1 : 0;
        return CUDA_SUCCESS;
      default:
        return CUDA_ERROR_INVALID_VALUE;
    }
  });
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  return call(SIMULATOR_SYMBOL(cuDevicePrimaryCtxRetain), Needs::initialised, [&](World& state, Lock&) {
    if (!exists(state, device)) return CUDA_ERROR_INVALID_DEVICE;
    ++state.devices[static_cast<std::size_t>(device)].retained;
    *context = contextOf(device);
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  return callThatFrees(SIMULATOR_SYMBOL(cuDevicePrimaryCtxRelease), Needs::initialised, [&](World& state, Lock&) {
    if (!exists(state, device)) return CUDA_ERROR_INVALID_DEVICE;
    auto& retained = state.devices[static_cast<std::size_t>(device)].retained;
    if (retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--retained == 0) state.findLeaks(device);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  return call(SIMULATOR_SYMBOL(cuCtxGetCurrent), Needs::initialised, [&](World&, Lock&) {
    *context = contextStack().empty() ? nullptr : contextStack().back();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetDevice(CUdevice* device) {
  return call(SIMULATOR_SYMBOL(cuCtxGetDevice), Needs::context, [&](World&, Lock&) {
    *device = currentDevice();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPushCurrent(CUcontext context) {
  return call(SIMULATOR_SYMBOL(cuCtxPushCurrent), Needs::initialised, [&](World& state, Lock&) {
    if (!exists(state, deviceOf(context))) return CUDA_ERROR_INVALID_CONTEXT;
    ContextStack& stack = contextStack();
    if (stack.size == stack.contexts.size()) return CUDA_ERROR_OUT_OF_MEMORY;
    stack.contexts[stack.size++] = context;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPopCurrent(CUcontext* context) {
  return callThatFrees(SIMULATOR_SYMBOL(cuCtxPopCurrent), Needs::initialised, [&](World&, Lock&) {
    if (contextStack().empty()) return CUDA_ERROR_INVALID_CONTEXT;
    *context = contextStack().back();
    --contextStack().size;
    return CUDA_SUCCESS;
  });
}

// The library never calls this; programs that do are found out.
CUresult cuCtxSynchronize(void) {
  return call(SIMULATOR_SYMBOL(cuCtxSynchronize), Needs::context, [&](World& state, Lock& lock) {
    if (state.disturbsCapture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    state.findings.add(SIMULATOR_DEVICE_WIDE_SYNC, "cuCtxSynchronize");
    state.drain(lock);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
