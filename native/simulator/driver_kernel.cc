// simulatorLaunch(): kernels of other simulated libraries.
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "call.h"

using namespace simulator;

namespace {

struct Kernel {
  explicit Kernel(const SimulatorKernel& wanted) : run(wanted.run), release(wanted.release), data(wanted.data) {}
  ~Kernel() {
    if (release != nullptr) release(data);
  }
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  void (*run)(void*);
  void (*release)(void*);
  void* data;
};

}  // namespace

extern "C" int simulatorLaunch(void* handle, const SimulatorKernel* wanted) {
  const auto kernel = std::make_shared<Kernel>(*wanted);
  return call("simulatorLaunch", Needs::context, [&](World& state, Lock&) {
    const auto stream = state.stream(static_cast<CUstream>(handle), wanted->name);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    Work work{.what = wanted->name,
              .touches = {},
              .duration = std::chrono::nanoseconds(wanted->nanoseconds),
              .run = {},
              .signal = {},
              .report = Report{.grid = {1, 1, 1}, .block = {32, 1, 1}}};
    for (std::size_t i = 0; i < wanted->rangeCount; ++i) {
      const SimulatorRange& each = wanted->ranges[i];
      if (each.bytes == 0) continue;
      work.touches.push_back({reinterpret_cast<std::uintptr_t>(each.address), each.bytes, each.write != 0, Place::any});
    }
    work.run = [kernel](const Access&) {
      const std::lock_guard lock(engine());
      kernel->run(kernel->data);
    };
    return state.submit(*stream, std::move(work));
  });
}
