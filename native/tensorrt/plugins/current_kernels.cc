#include "current_kernels.h"

#include <string>

#include "../../cuda/context.h"
#include "../../cuda/driver.h"

namespace tensorrt_node::tensorrt::plugins {
namespace {

using cuda::check;
using cuda::driver;

int currentOrdinal() {
  CUdevice current = 0;
  check(driver().cuCtxGetDevice(&current), "cuCtxGetDevice");
  int count = 0;
  check(driver().cuDeviceGetCount(&count), "cuDeviceGetCount");
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    CUdevice device = 0;
    check(driver().cuDeviceGet(&device, ordinal), "cuDeviceGet");
    if (device == current) return ordinal;
  }
  cuda::fail(CUDA_ERROR_INVALID_DEVICE, "cuDeviceGet", "the current context is of none of the devices");
}

}  // namespace

std::shared_ptr<const kernels::Kernels> currentKernels() {
  CUcontext current = nullptr;
  check(driver().cuCtxGetCurrent(&current), "cuCtxGetCurrent");
  if (current == nullptr) cuda::fail(CUDA_ERROR_INVALID_CONTEXT, "cuCtxGetCurrent", "no context is current");
  const auto context = cuda::Context::retain(currentOrdinal());
  if (context->handle() != current)
    cuda::fail(CUDA_ERROR_INVALID_CONTEXT, "cuCtxGetCurrent", "the current context is not the device's primary one");
  return kernels::Kernels::of(context);
}

}  // namespace tensorrt_node::tensorrt::plugins
