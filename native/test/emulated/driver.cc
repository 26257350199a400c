// As much of a CUDA driver as test/gpu/kernels.cc needs, with the kernels of this library run by threads.h. Everything
// is done when its call returns. Calls that the tests do not make are there for the table alone.
#include <cuda.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "threads.h"

namespace {

CUcontext current = nullptr;

template <typename Handle>
CUresult make(Handle* handle) {
  *handle = reinterpret_cast<Handle>(std::uintptr_t{8});
  return CUDA_SUCCESS;
}
template <typename Value>
CUresult give(Value* to, Value value) {
  *to = value;
  return CUDA_SUCCESS;
}
void* at(CUdeviceptr address) {
  return reinterpret_cast<void*>(address);
}
CUresult copy(void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
  return CUDA_SUCCESS;
}
// To the byte, so that AddressSanitizer sees what is beyond.
void* allocate(std::size_t bytes) {
  void* memory = nullptr;
  return posix_memalign(&memory, 256, bytes) == 0 ? memory : nullptr;
}

}  // namespace

#undef cuEventElapsedTime

extern "C" {

CUresult cuInit(unsigned) {
  return CUDA_SUCCESS;
}
CUresult cuDriverGetVersion(int* version) {
  return give(version, CUDA_VERSION);
}
CUresult cuGetErrorName(CUresult, const char** name) {
  return give(name, "an error");
}
CUresult cuGetErrorString(CUresult, const char** text) {
  return give(text, "an error");
}
CUresult cuDeviceGetCount(int* count) {
  return give(count, 1);
}
CUresult cuDeviceGet(CUdevice* device, int) {
  return give(device, 0);
}
CUresult cuDeviceGetName(char* name, int, CUdevice) {
  return give(name, '\0');
}
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice) {
  return give(value, which == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN ? 227 << 10 : 8);
}
CUresult cuDeviceGetPCIBusId(char* id, int, CUdevice) {
  return give(id, '\0');
}
CUresult cuDeviceTotalMem(std::size_t* bytes, CUdevice) {
  return give(bytes, std::size_t{1} << 34);
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  return make(context);
}
CUresult cuDevicePrimaryCtxRelease(CUdevice) {
  return CUDA_SUCCESS;
}
CUresult cuCtxGetCurrent(CUcontext* context) {
  return give(context, current);
}
CUresult cuCtxGetDevice(CUdevice* device) {
  return give(device, 0);
}
CUresult cuCtxPushCurrent(CUcontext context) {
  return give(&current, context);
}
CUresult cuCtxPopCurrent(CUcontext* context) {
  return give(context, current);
}
CUresult cuMemGetInfo(std::size_t* left, std::size_t* all) {
  *left = *all = std::size_t{1} << 34;
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc(CUdeviceptr* address, std::size_t bytes) {
  return give(address, reinterpret_cast<CUdeviceptr>(allocate(bytes)));
}
CUresult cuMemFree(CUdeviceptr address) {
  std::free(at(address));
  return CUDA_SUCCESS;
}
CUresult cuMemGetAllocationGranularity(std::size_t*, const CUmemAllocationProp*, CUmemAllocationGranularity_flags) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuMemAddressReserve(CUdeviceptr*, std::size_t, std::size_t, CUdeviceptr, unsigned long long) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuMemAddressFree(CUdeviceptr, std::size_t) {
  return CUDA_SUCCESS;
}
CUresult cuMemCreate(CUmemGenericAllocationHandle*, std::size_t, const CUmemAllocationProp*, unsigned long long) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuMemRelease(CUmemGenericAllocationHandle) {
  return CUDA_SUCCESS;
}
CUresult cuMemMap(CUdeviceptr, std::size_t, std::size_t, CUmemGenericAllocationHandle, unsigned long long) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuMemUnmap(CUdeviceptr, std::size_t) {
  return CUDA_SUCCESS;
}
CUresult cuMemSetAccess(CUdeviceptr, std::size_t, const CUmemAccessDesc*, std::size_t) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuMemHostAlloc(void** address, std::size_t bytes, unsigned) {
  return give(address, allocate(bytes));
}
CUresult cuMemFreeHost(void* address) {
  std::free(address);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, std::size_t bytes, CUstream) {
  return copy(at(to), from, bytes);
}
CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, std::size_t bytes, CUstream) {
  return copy(to, at(from), bytes);
}
CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream) {
  return copy(at(to), at(from), bytes);
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t bytes, CUstream) {
  std::memset(at(to), value, bytes);
  return CUDA_SUCCESS;
}
CUresult cuStreamCreate(CUstream* stream, unsigned) {
  return make(stream);
}
CUresult cuStreamDestroy(CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuStreamQuery(CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned) {
  return CUDA_SUCCESS;
}
CUresult cuLaunchHostFunc(CUstream, CUhostFn, void*) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuEventCreate(CUevent* event, unsigned) {
  return make(event);
}
CUresult cuEventDestroy(CUevent) {
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent, CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuEventQuery(CUevent) {
  return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent) {
  return CUDA_SUCCESS;
}
CUresult cuEventElapsedTime(float*, CUevent, CUevent) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuStreamBeginCapture(CUstream, CUstreamCaptureMode) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuStreamEndCapture(CUstream, CUgraph*) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuStreamGetCaptureInfo_v2(CUstream, CUstreamCaptureStatus*, cuuint64_t*, CUgraph*, const CUgraphNode**,
                                   std::size_t*) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuGraphGetNodes(CUgraph, CUgraphNode*, std::size_t*) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuGraphNodeGetType(CUgraphNode, CUgraphNodeType*) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec*, CUgraph, unsigned long long) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuGraphLaunch(CUgraphExec, CUstream) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuGraphExecDestroy(CUgraphExec) {
  return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph) {
  return CUDA_SUCCESS;
}

// The library takes a driver with this function for one that needs no machine code.
void simulatorHostAccess(const void*, std::size_t, int) {}

CUresult cuModuleLoadData(CUmodule* module, const void*) {
  return make(module);
}
CUresult cuModuleUnload(CUmodule) {
  return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
  Dl_info self{};
  dladdr(reinterpret_cast<void*>(&cuModuleUnload), &self);
  void* library = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  *function = static_cast<CUfunction>(dlsym(library, name));
  dlclose(library);
  return *function == nullptr ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) {
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** arguments, void**) {
  emulated::launch(reinterpret_cast<void (*)()>(function), arguments[0],
                   {config->gridDimX, config->gridDimY, config->gridDimZ}, config->blockDimX, config->sharedMemBytes);
  return CUDA_SUCCESS;
}

}  // extern "C"
