// The process's GPUs, by ordinal.
#include "gpu.h"

#include <map>
#include <mutex>

#include "../cuda/driver.h"

namespace tensorrt_node::binding {

namespace {

struct KnownGpus {
  std::mutex mutex;
  // Weak, so that the last thread to leave frees the pools while the driver still works, not at process exit.
  std::map<int, std::weak_ptr<Gpu>> gpus;

  static KnownGpus& instance() {
    static KnownGpus known;
    return known;
  }
};

}  // namespace

std::shared_ptr<Gpu> Gpu::open(int ordinal) {
  if (const cuda::LoadOutcome outcome = cuda::load(); !outcome.ready())
    throw cuda::CudaError(CUDA_ERROR_NOT_INITIALIZED, "cuInit", outcome.problem, outcome.hint);
  KnownGpus& all = KnownGpus::instance();
  const std::lock_guard lock(all.mutex);
  std::weak_ptr<Gpu>& known = all.gpus[ordinal];
  std::shared_ptr<Gpu> gpu = known.lock();
  if (gpu == nullptr) {
    gpu = std::make_shared<Gpu>(ordinal);
    known = gpu;
  }
  return gpu;
}

std::shared_ptr<Gpu> Gpu::opened(int ordinal) {
  KnownGpus& all = KnownGpus::instance();
  const std::lock_guard lock(all.mutex);
  const auto found = all.gpus.find(ordinal);
  return found == all.gpus.end() ? nullptr : found->second.lock();
}

std::shared_ptr<const kernels::Kernels> Gpu::loadKernels() {
  const std::lock_guard lock(mutex_);
  if (kernels_ == nullptr) kernels_ = kernels::Kernels::of(context);
  return kernels_;
}

}  // namespace tensorrt_node::binding
