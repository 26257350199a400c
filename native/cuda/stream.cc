#include "stream.h"

#include <utility>

#include "driver.h"
#include "stream_names.h"

namespace tensorrt_node::cuda {

class Stream::Handle {
 public:
  Handle(std::shared_ptr<const Context> context, std::string name)
      : context_(std::move(context)), name_(std::move(name)) {
    const Current current(*context_);
    // Non-blocking: the legacy default stream must never order our work.
    check(driver().cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate", name_);
    try {
      StreamNames::instance().add(context_->handle(), stream_, name_);
    } catch (...) {
      driver().cuStreamDestroy(stream_);
      throw;
    }
  }

  ~Handle() {
    if (stream_ == nullptr) return;
    StreamNames::instance().remove(stream_);
    const Current current(*context_, std::nothrow);
    // Work queued is still done. Fails after teardown of the driver, when there is nobody left to tell.
    driver().cuStreamDestroy(stream_);
  }

  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  const std::shared_ptr<const Context>& context() const noexcept { return context_; }
  const std::string& name() const noexcept { return name_; }
  CUstream stream() const noexcept { return stream_; }

 private:
  const std::shared_ptr<const Context> context_;
  const std::string name_;
  CUstream stream_ = nullptr;
};

namespace {

// Called by the driver, on a thread of its own: nothing may be thrown into it.
void CUDA_CB runOnHost(void* data) noexcept {
  const std::unique_ptr<std::function<void()>> function(static_cast<std::function<void()>*>(data));
  try {
    (*function)();
  } catch (...) {
    // Dropped, as stream.h says: there is no caller who could handle it.
    return;
  }
}

}  // namespace

Stream::Stream(std::shared_ptr<const Context> context, std::string name)
    : handle_(std::make_shared<const Handle>(std::move(context), std::move(name))) {}

void Stream::wait(const Event& event) const {
  const Current current(*context());
  check(driver().cuStreamWaitEvent(handle(), event.handle(), CU_EVENT_WAIT_DEFAULT), "cuStreamWaitEvent", name());
}

void Stream::record(Event& event) const {
  const Current current(*context());
  check(driver().cuEventRecord(event.handle(), handle()), "cuEventRecord", name());
}

void Stream::synchronize() const {
  const Current current(*context());
  check(driver().cuStreamSynchronize(handle()), "cuStreamSynchronize", name());
}

bool Stream::idle() const {
  const Current current(*context());
  const CUresult result = driver().cuStreamQuery(handle());
  if (result == CUDA_ERROR_NOT_READY) return false;
  check(result, "cuStreamQuery", name());
  return true;
}

void Stream::callOnHost(std::function<void()> function) const {
  const Current current(*context());
  auto owned = std::make_unique<std::function<void()>>(std::move(function));
  check(driver().cuLaunchHostFunc(handle(), runOnHost, owned.get()), "cuLaunchHostFunc", name());
  static_cast<void>(owned.release());
}

CUstream Stream::handle() const noexcept {
  return handle_->stream();
}
const std::string& Stream::name() const noexcept {
  return handle_->name();
}
const std::shared_ptr<const Context>& Stream::context() const noexcept {
  return handle_->context();
}

}  // namespace tensorrt_node::cuda
