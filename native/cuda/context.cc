#include "context.h"

#include <string>

#include "driver.h"

namespace tensorrt_node::cuda {

std::shared_ptr<const Context> Context::retain(int ordinal) {
  const std::string detail = "device " + std::to_string(ordinal);
  // Made before the driver's context is retained, so that nothing can be thrown between retaining and owning it.
  const auto context = std::make_shared<Context>(Private{}, ordinal);
  check(driver().cuDeviceGet(&context->device_, ordinal), "cuDeviceGet", detail);
  check(driver().cuDevicePrimaryCtxRetain(&context->handle_, context->device_), "cuDevicePrimaryCtxRetain", detail);
  return context;
}

Context::~Context() {
  // Fails after teardown of the driver, when there is nobody left to tell.
  if (handle_ != nullptr) driver().cuDevicePrimaryCtxRelease(device_);
}

Current::Current(const Context& context) {
  check(push(context), "cuCtxPushCurrent");
}

Current::Current(const Context& context, std::nothrow_t) noexcept {
  static_cast<void>(push(context));
}

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
