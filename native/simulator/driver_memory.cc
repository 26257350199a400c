// Driver functions: memory.
#include <string>

#include "call.h"

using namespace simulator;

namespace {

std::uintptr_t addressOf(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

// Frees memory as `kind`; what is wrong with that is found.
CUresult release(World& state, Lock& lock, std::uintptr_t address, MemoryKind kind, const std::string& symbol) {
  if (state.disturbsCapture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  Allocation* allocation = state.memory.find(address);
  if (allocation == nullptr || allocation->address != address || allocation->reservation ||
      (!allocation->freed && allocation->kind != kind)) {
    state.findings.add(SIMULATOR_INVALID_FREE, symbol + " of memory that it did not allocate");
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (allocation->freed) {
    state.findings.add(SIMULATOR_DOUBLE_FREE, symbol + " of " + allocation->name());
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (const Access* pending = allocation->history.unknownTo(state.host)) {
    state.findings.add(SIMULATOR_DEVICE_WIDE_SYNC, symbol + " of " + allocation->name() + " with " + *pending->what +
                                                       " not known to be done waits for the device");
    state.drain(lock);
  }
  // Found already, and not to end in a crash here.
  if (allocation->raced) state.drain(lock);
  if (!state.memory.intact(*allocation))
    state.findings.add(SIMULATOR_OUT_OF_BOUNDS, "something wrote beyond the ends of " + allocation->name());
  state.memory.free(*allocation);
  return CUDA_SUCCESS;
}

CUresult allocate(World& state, MemoryKind kind, std::size_t bytes, const char* symbol, std::uintptr_t& address) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (state.disturbsCapture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  const int device = currentDevice();
  const std::size_t limit = kind == MemoryKind::device ? state.config.deviceBytes : state.config.pinnedBytes;
  const std::size_t used = state.memory.used(kind, device);
  if (bytes > limit || used > limit - bytes) return CUDA_ERROR_OUT_OF_MEMORY;
  const Allocation* allocation = state.memory.allocate(kind, device, bytes, state.hostAccess(symbol));
  if (allocation == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  address = allocation->address;
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuMemGetInfo(std::size_t* freeBytes, std::size_t* totalBytes) {
  return call(SIMULATOR_SYMBOL(cuMemGetInfo), Needs::context, [&](World& state, Lock&) {
    *totalBytes = state.config.deviceBytes;
    *freeBytes = state.config.deviceBytes - state.memory.used(MemoryKind::device, currentDevice());
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAlloc(CUdeviceptr* address, std::size_t bytes) {
  return call(SIMULATOR_SYMBOL(cuMemAlloc), Needs::context, [&](World& state, Lock&) {
    std::uintptr_t allocated = 0;
    const CUresult result = allocate(state, MemoryKind::device, bytes, SIMULATOR_SYMBOL(cuMemAlloc), allocated);
    if (result == CUDA_SUCCESS) *address = allocated;
    return result;
  });
}

CUresult cuMemFree(CUdeviceptr address) {
  return callThatFrees(SIMULATOR_SYMBOL(cuMemFree), Needs::context, [&](World& state, Lock& lock) {
    return release(state, lock, address, MemoryKind::device, SIMULATOR_SYMBOL(cuMemFree));
  });
}

CUresult cuMemHostAlloc(void** address, std::size_t bytes, unsigned) {
  return call(SIMULATOR_SYMBOL(cuMemHostAlloc), Needs::context, [&](World& state, Lock&) {
    std::uintptr_t allocated = 0;
    const CUresult result = allocate(state, MemoryKind::pinned, bytes, SIMULATOR_SYMBOL(cuMemHostAlloc), allocated);
    if (result == CUDA_SUCCESS) *address = reinterpret_cast<void*>(allocated);
    return result;
  });
}

// One address space: what the host writes to is what the device reads.
CUresult cuMemHostGetDevicePointer(CUdeviceptr* address, void* memory, unsigned) {
  return call(SIMULATOR_SYMBOL(cuMemHostGetDevicePointer), Needs::context, [&](World& state, Lock&) {
    const Allocation* allocation = state.memory.find(addressOf(memory));
    if (allocation == nullptr || allocation->freed || allocation->kind != MemoryKind::pinned)
      return CUDA_ERROR_INVALID_VALUE;
    *address = addressOf(memory);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemFreeHost(void* address) {
  return callThatFrees(SIMULATOR_SYMBOL(cuMemFreeHost), Needs::context, [&](World& state, Lock& lock) {
    return release(state, lock, addressOf(address), MemoryKind::pinned, SIMULATOR_SYMBOL(cuMemFreeHost));
  });
}

}  // extern "C"
