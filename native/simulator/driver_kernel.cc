// simulatorLaunch(): kernels of other simulated libraries.
#include <memory>
#include <mutex>
#include <string>
#include <vector>

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
    const Access access = state.next(*stream, wanted->name);
    for (std::size_t i = 0; i < wanted->rangeCount; ++i) {
      const SimulatorRange& each = wanted->ranges[i];
      const auto address = reinterpret_cast<std::uintptr_t>(each.address);
      const Range range{state.memory.find(address), address, each.bytes, each.write != 0};
      if (const CUresult result = state.allowed(access, range); result != CUDA_SUCCESS) return result;
      state.enter(access, range);
    }
    state.queueOperation(*stream, access, 0, [kernel] {
      const std::lock_guard lock(engine());
      kernel->run(kernel->data);
    });
    return CUDA_SUCCESS;
  });
}
