// The CUDA driver behind one table of functions, filled from libcuda.so.1 at run time, so that the addon loads
// on machines that have no driver.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <string>

#include "error.h"

// Every driver function this library calls. cuda.h maps the plain names to versioned symbols; a symbol is chosen as
// old as serves, because every driver of CUDA 12 and later must load.
#define TENSORRT_NODE_DRIVER_FUNCTIONS(X) \
  X(cuInit)                               \
  X(cuDriverGetVersion)                   \
  X(cuGetErrorName)                       \
  X(cuGetErrorString)                     \
  X(cuDeviceGetCount)                     \
  X(cuDeviceGet)                          \
  X(cuDeviceGetName)                      \
  X(cuDeviceGetAttribute)                 \
  X(cuDeviceGetPCIBusId)                  \
  X(cuDeviceTotalMem)                     \
  X(cuDevicePrimaryCtxRetain)             \
  X(cuDevicePrimaryCtxRelease)            \
  X(cuCtxGetCurrent)                      \
  X(cuCtxGetDevice)                       \
  X(cuCtxPushCurrent)                     \
  X(cuCtxPopCurrent)                      \
  X(cuMemGetInfo)                         \
  X(cuMemAlloc)                           \
  X(cuMemFree)                            \
  X(cuMemGetAllocationGranularity)        \
  X(cuMemAddressReserve)                  \
  X(cuMemAddressFree)                     \
  X(cuMemCreate)                          \
  X(cuMemRelease)                         \
  X(cuMemMap)                             \
  X(cuMemUnmap)                           \
  X(cuMemSetAccess)                       \
  X(cuMemHostAlloc)                       \
  X(cuMemFreeHost)                        \
  X(cuMemcpyHtoDAsync)                    \
  X(cuMemcpyDtoHAsync)                    \
  X(cuMemcpyDtoDAsync)                    \
  X(cuMemsetD8Async)                      \
  X(cuStreamCreate)                       \
  X(cuStreamDestroy)                      \
  X(cuStreamQuery)                        \
  X(cuStreamSynchronize)                  \
  X(cuStreamWaitEvent)                    \
  X(cuLaunchHostFunc)                     \
  X(cuEventCreate)                        \
  X(cuEventDestroy)                       \
  X(cuEventRecord)                        \
  X(cuEventQuery)                         \
  X(cuEventSynchronize)                   \
  X(cuEventElapsedTime)                   \
  X(cuStreamBeginCapture)                 \
  X(cuStreamEndCapture)                   \
  X(cuGraphGetNodes)                      \
  X(cuGraphNodeGetType)                   \
  X(cuGraphInstantiateWithFlags)          \
  X(cuGraphLaunch)                        \
  X(cuGraphExecDestroy)                   \
  X(cuGraphDestroy)                       \
  X(cuModuleLoadData)                     \
  X(cuModuleUnload)                       \
  X(cuModuleGetFunction)                  \
  X(cuFuncSetAttribute)                   \
  X(cuLaunchKernelEx)

namespace tensorrt_node::cuda {

struct DriverTable {
#define TENSORRT_NODE_MEMBER(name) decltype(&::name) name = nullptr;
  TENSORRT_NODE_DRIVER_FUNCTIONS(TENSORRT_NODE_MEMBER)
#undef TENSORRT_NODE_MEMBER

  // Under the name that every driver of CUDA 12 and later has it by; cuda.h has another signature for the plain one.
  CUresult (*cuStreamGetCaptureInfo_v2)(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id, CUgraph* graph,
                                        const CUgraphNode** dependencies, std::size_t* count) = nullptr;

  // Only a simulated driver has this: the host is about to read or write pinned memory, which no driver can see.
  void (*simulatorHostAccess)(const void* address, std::size_t bytes, int write) = nullptr;
};

enum class DriverStatus {
  ready,
  // No library at the path.
  libraryMissing,
  // The library lacks a function: too old, or not a CUDA driver.
  functionMissing,
  // cuInit failed: no device, or a kernel driver that does not fit.
  initialisationFailed,
};

struct LoadOutcome {
  DriverStatus status = DriverStatus::libraryMissing;
  // The library that was tried, or the file that is loaded.
  std::string path;
  // What went wrong and what to do about it, for people; empty when ready.
  std::string problem;
  std::string hint;

  bool ready() const noexcept { return status == DriverStatus::ready; }
};

// Loads and initialises the driver, once a process: after the first success every call returns that outcome; after a
// failure the next call tries again. An empty path means $TENSORRT_NODE_CUDA_DRIVER, else libcuda.so.1 from the
// loader's path. Safe from any thread; absence is an outcome, not an exception.
LoadOutcome load(const std::string& path = {});

// The table. Throws CudaError (CUDA_ERROR_NOT_INITIALIZED) unless load() succeeded.
const DriverTable& driver();
// The table, or null before load() succeeded.
const DriverTable* driverIfLoaded() noexcept;

// Says to a simulated driver that the host touches pinned memory; costs a branch on a real one.
inline void noteHostAccess(const void* address, std::size_t bytes, bool write) {
  if (auto note = driver().simulatorHostAccess) [[unlikely]]
    note(address, bytes, write ? 1 : 0);
}

}  // namespace tensorrt_node::cuda
