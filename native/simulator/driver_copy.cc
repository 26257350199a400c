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

std::vector<Touch> touchesOf(const Copy& copy) {
  return {{copy.from, copy.bytes, false, copy.fromDevice ? Place::device : Place::host},
          {copy.to, copy.bytes, true, copy.toDevice ? Place::device : Place::host}};
}

Report reportOf(World& state, const Copy& copy) {
  const auto place = [&](bool device, std::uintptr_t address) {
    if (device) return SIMULATOR_DEVICE;
    return state.memory.find(address) == nullptr ? SIMULATOR_PAGEABLE : SIMULATOR_PINNED;
  };
  return {.kind = SIMULATOR_COPY, .from = place(copy.fromDevice, copy.from), .to = place(copy.toDevice, copy.to)};
}

bool isPageable(World& state, const Copy& copy) {
  return state.memory.find(copy.from) == nullptr || state.memory.find(copy.to) == nullptr;
}

CUresult synchronous(World& state, Lock& lock, const Copy& copy) {
  // Even those in relaxed mode: the legacy stream waits for all others.
  for (const auto& [handle, queue] : state.streams) {
    if (queue->capture == nullptr) continue;
    queue->capture->invalidate();
    return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  state.findings.add(SIMULATOR_DEVICE_WIDE_SYNC, std::string(copy.symbol) + " goes through the legacy stream");
  state.drain(lock);
  const Access access = state.hostAccess(copy.symbol);
  std::vector<Range> ranges;
  for (const Touch& each : touchesOf(copy))
    if (const CUresult result = state.allowed(access, each, ranges.emplace_back()); result != CUDA_SUCCESS)
      return result;
  for (const Range& each : ranges) state.enter(access, each);
  move(copy.to, copy.from, copy.bytes);
  return CUDA_SUCCESS;
}

CUresult asynchronous(World& state, Lock& lock, const Copy& copy, CUstream handle) {
  if (isLegacy(handle)) return synchronous(state, lock, copy);
  const auto stream = state.stream(handle, copy.symbol);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  const auto run = [to = copy.to, from = copy.from, bytes = copy.bytes](const Access&) { move(to, from, bytes); };
  const Work work{.what = copy.symbol,
                  .touches = touchesOf(copy),
                  .copied = copy.bytes,
                  .run = run,
                  .signal = {},
                  .report = reportOf(state, copy)};
  if (const CUresult result = state.submit(*stream, work); result != CUDA_SUCCESS) return result;
  if (isPageable(state, copy)) {
    const std::string what = std::string(copy.symbol) + " on stream " + std::to_string(stream->number);
    state.findings.add(SIMULATOR_PAGEABLE_COPY, what + ": the host memory is not pinned");
    if (stream->capture == nullptr) state.waitFor(lock, stream->last);
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
    const auto run = [to, value, bytes](const Access&) {
      const std::lock_guard lock(engine());
      std::memset(reinterpret_cast<void*>(to), value, bytes);
    };
    return state.submit(*stream, {.what = "cuMemsetD8Async",
                                  .touches = {{to, bytes, true, Place::any}},
                                  .copied = bytes,
                                  .run = run,
                                  .signal = {},
                                  .report = Report{.kind = SIMULATOR_SET}});
  });
}

}  // extern "C"
