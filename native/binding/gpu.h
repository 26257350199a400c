// A GPU as this process shares it: one context and one pool of each kind, whatever thread of JavaScript asks.
#pragma once

#include <memory>
#include <mutex>

#include "../cuda/context.h"
#include "../cuda/device_pool.h"
#include "../cuda/pinned_pool.h"
#include "../kernels/kernels.h"

namespace tensorrt_node::binding {

struct Gpu {
  // The one of this ordinal, made if no thread has it yet; loads the driver if that was not done. Throws CudaError.
  static std::shared_ptr<Gpu> open(int ordinal);

  // The same, or null where nobody has it: nothing is made for it.
  static std::shared_ptr<Gpu> opened(int ordinal);

  explicit Gpu(int ordinal) : context(cuda::Context::retain(ordinal)) {}

  std::shared_ptr<const cuda::Context> context;
  cuda::PinnedPool pinned{context};
  cuda::DevicePool device{context};

  // Our kernels, which stay loaded from then on. Throws CudaError. Safe from any thread.
  std::shared_ptr<const kernels::Kernels> loadKernels();

 private:
  std::mutex mutex_;
  std::shared_ptr<const kernels::Kernels> kernels_;
};

}  // namespace tensorrt_node::binding
