#include "event.h"

#include <utility>

#include "driver.h"

namespace tensorrt_node::cuda {

Event::Event(std::shared_ptr<const Context> context, EventOptions options) : context_(std::move(context)) {
  const Current current(*context_);
  // The host sleeps while it waits; otherwise it would spin, which is some microseconds quicker and takes a whole core.
  unsigned flags = CU_EVENT_BLOCKING_SYNC;
  if (!options.timing) flags |= CU_EVENT_DISABLE_TIMING;
  check(driver().cuEventCreate(&handle_, flags), "cuEventCreate");
}

Event::~Event() {
  if (handle_ == nullptr) return;
  const Current current(*context_, std::nothrow);
  // Fails after teardown of the driver, when there is nobody left to tell.
  driver().cuEventDestroy(handle_);
}

Event::Event(Event&& other) noexcept
    : context_(std::move(other.context_)), handle_(std::exchange(other.handle_, nullptr)) {}

Event& Event::operator=(Event&& other) noexcept {
  std::swap(context_, other.context_);
  std::swap(handle_, other.handle_);
  return *this;
}

bool Event::passed() const {
  const CUresult result = driver().cuEventQuery(handle_);
  if (result == CUDA_ERROR_NOT_READY) return false;
  check(result, "cuEventQuery");
  return true;
}

void Event::wait() const {
  const Current current(*context_);
  check(driver().cuEventSynchronize(handle_), "cuEventSynchronize");
}

float Event::millisecondsSince(const Event& start) const {
  const Current current(*context_);
  float milliseconds = 0;
  check(driver().cuEventElapsedTime(&milliseconds, start.handle_, handle_), "cuEventElapsedTime");
  return milliseconds;
}

}  // namespace tensorrt_node::cuda
