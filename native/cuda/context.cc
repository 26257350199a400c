#include "context.h"

#include "driver.h"

namespace tensorrt_node::cuda {

std::shared_ptr<const Context> Context::retain(int ordinal) {
  const std::string detail = "device " + std::to_string(ordinal);
  CUdevice device = 0;
  check(driver().cuDeviceGet(&device, ordinal), "cuDeviceGet", detail);
  // Made before the context is retained, so that nothing can be thrown between retaining and owning it.
  std::shared_ptr<Context> context(new Context(ordinal, device, nullptr));
  check(driver().cuDevicePrimaryCtxRetain(&context->handle_, device), "cuDevicePrimaryCtxRetain", detail);
  return context;
}

Context::~Context() {
  // Fails after teardown of the driver, when there is nobody left to tell.
  if (handle_ != nullptr) driver().cuDevicePrimaryCtxRelease(device_);
}

Current::Current(const Context& context) { check(push(context), "cuCtxPushCurrent"); }

Current::Current(const Context& context, std::nothrow_t) noexcept { static_cast<void>(push(context)); }

Current::~Current() {
  CUcontext popped = nullptr;
  if (pushed_) driver().cuCtxPopCurrent(&popped);
}

CUresult Current::push(const Context& context) noexcept {
  CUcontext current = nullptr;
  const CUresult asked = driver().cuCtxGetCurrent(&current);
  if (asked == CUDA_SUCCESS && current == context.handle()) return CUDA_SUCCESS;
  const CUresult result = driver().cuCtxPushCurrent(context.handle());
  pushed_ = result == CUDA_SUCCESS;
  return result;
}

}  // namespace tensorrt_node::cuda
