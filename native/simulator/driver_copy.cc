// Driver functions: copies and fills.
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "call.h"

using namespace simulator;

namespace {

std::uintptr_t addressOf(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

void move(std::uintptr_t to, std::uintptr_t from, std::size_t bytes) {
  const std::lock_guard lock(engine());
  std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
}

bool isLegacy(CUstream stream) {
  return stream == nullptr || stream == CU_STREAM_LEGACY;
}

struct Copy {
  const char* symbol;
  std::uintptr_t to;
  std::uintptr_t from;
  std::size_t bytes;
  bool toDevice;
  bool fromDevice;
};

// Whether one end of a copy may be what it is. Ordinary memory may be on the host's side.
CUresult allowed(World& state, const Access& access, const Range& end, bool onDevice) {
  if (end.allocation == nullptr && !onDevice) return CUDA_SUCCESS;
  if (end.allocation != nullptr && (end.allocation->kind == MemoryKind::device) != onDevice)
    return CUDA_ERROR_INVALID_VALUE;
  return state.allowed(access, end);
}

// Enters both ends as accesses, if both are allowed. `pageable` tells of ordinary memory.
CUresult enter(World& state, const Access& access, const Copy& copy, bool& pageable) {
  const Range from{state.memory.find(copy.from), copy.from, copy.bytes, false};
  const Range to{state.memory.find(copy.to), copy.to, copy.bytes, true};
  pageable = from.allocation == nullptr || to.allocation == nullptr;
  CUresult result = allowed(state, access, from, copy.fromDevice);
  if (result == CUDA_SUCCESS) result = allowed(state, access, to, copy.toDevice);
  if (result != CUDA_SUCCESS) return result;
  state.enter(access, from);
  state.enter(access, to);
  return CUDA_SUCCESS;
}

CUresult synchronous(World& state, Lock& lock, const Copy& copy) {
  state.findings.add(SIMULATOR_DEVICE_WIDE_SYNC, std::string(copy.symbol) + " goes through the legacy stream");
  state.drain(lock);
  bool pageable = false;
  const CUresult result = enter(state, state.hostAccess(copy.symbol), copy, pageable);
  if (result == CUDA_SUCCESS) move(copy.to, copy.from, copy.bytes);
  return result;
}

CUresult asynchronous(World& state, Lock& lock, const Copy& copy, CUstream handle) {
  if (isLegacy(handle)) return synchronous(state, lock, copy);
  const auto stream = state.stream(handle, copy.symbol);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  const Access access = state.next(*stream, copy.symbol);
  bool pageable = false;
  if (const CUresult result = enter(state, access, copy, pageable); result != CUDA_SUCCESS) return result;
  state.queueOperation(*stream, access, copy.bytes,
                       [to = copy.to, from = copy.from, bytes = copy.bytes] { move(to, from, bytes); });
  if (pageable) {
    state.findings.add(SIMULATOR_PAGEABLE_COPY, *access.what + ": the host memory is not pinned");
    state.waitFor(lock, stream->last);
  }
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  return call(SIMULATOR_SYMBOL(cuMemcpyHtoDAsync), Needs::context, [&](World& state, Lock& lock) {
    return asynchronous(state, lock, {"cuMemcpyHtoDAsync", to, addressOf(from), bytes, true, false}, stream);
  });
}

CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return call(SIMULATOR_SYMBOL(cuMemcpyDtoHAsync), Needs::context, [&](World& state, Lock& lock) {
    return asynchronous(state, lock, {"cuMemcpyDtoHAsync", addressOf(to), from, bytes, false, true}, stream);
  });
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return call(SIMULATOR_SYMBOL(cuMemcpyDtoDAsync), Needs::context, [&](World& state, Lock& lock) {
    return asynchronous(state, lock, {"cuMemcpyDtoDAsync", to, from, bytes, true, true}, stream);
  });
}

CUresult cuMemcpyHtoD(CUdeviceptr to, const void* from, std::size_t bytes) {
  return call(SIMULATOR_SYMBOL(cuMemcpyHtoD), Needs::context, [&](World& state, Lock& lock) {
    return synchronous(state, lock, {"cuMemcpyHtoD", to, addressOf(from), bytes, true, false});
  });
}

CUresult cuMemcpyDtoH(void* to, CUdeviceptr from, std::size_t bytes) {
  return call(SIMULATOR_SYMBOL(cuMemcpyDtoH), Needs::context, [&](World& state, Lock& lock) {
    return synchronous(state, lock, {"cuMemcpyDtoH", addressOf(to), from, bytes, false, true});
  });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t bytes, CUstream handle) {
  return call(SIMULATOR_SYMBOL(cuMemsetD8Async), Needs::context, [&](World& state, Lock&) {
    const auto stream = state.stream(handle, "cuMemsetD8Async");
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    const Access access = state.next(*stream, "cuMemsetD8Async");
    const Range range{state.memory.find(to), to, bytes, true};
    if (const CUresult result = state.allowed(access, range); result != CUDA_SUCCESS) return result;
    state.enter(access, range);
    state.queueOperation(*stream, access, bytes, [to, value, bytes] {
      const std::lock_guard lock(engine());
      std::memset(reinterpret_cast<void*>(to), value, bytes);
    });
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
