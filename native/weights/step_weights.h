// Where the weights of a decoder's runs are while its steps are queued.
#pragma once

#include <cuda.h>

#include <cstddef>

#include "../cuda/stream.h"
#include "usage.h"

namespace tensorrt_node::weights {

// For the thread that queues steps. A step is begin(), then for each run in the model's order acquire(), the run's
// work, release(); a step given up in between may leave out the rest.
class StepWeights {
 public:
  virtual ~StepWeights() = default;

  // Of a weight (by its number in the model) as an input of a run; never changes, so graphs may hold it.
  virtual CUdeviceptr address(std::size_t run, std::size_t weight) const = 0;
  // Whether acquire() and release() are wanted around the run: its graph stands alone. Never changes.
  virtual bool streamed(std::size_t run) const = 0;

  // A step begins: what is queued on `compute` from now on waits for resident weights that are on their way back.
  // Throws CudaError, FileError; std::logic_error while the weights are evicted.
  virtual void begin(const cuda::Stream& compute) = 0;
  // Makes what is queued on `compute` from now on wait until the run's weights are there. May block the host until
  // they are on their way (disk). No-op for runs that are not streamed. Throws CudaError, FileError: that step is lost,
  // the next may go well.
  virtual void acquire(std::size_t run, const cuda::Stream& compute) = 0;
  // The run is queued: its place is free once `compute` is past here. No-op for runs that are not streamed. Throws
  // CudaError.
  virtual void release(std::size_t run, const cuda::Stream& compute) = 0;

  // Between steps. Gives VRAM back, once `compute` is past what was queued; the contents are kept in pinned RAM, or
  // with `keepRam` false read again from the model's files. Throws CudaError (CUDA_ERROR_NOT_SUPPORTED where the driver
  // has no virtual memory), and has changed nothing then.
  virtual void evict(const cuda::Stream& compute, bool keepRam) = 0;
  // Takes VRAM at the same addresses again and queues copies back; begin() then waits for them. Throws CudaError
  // (CUDA_ERROR_OUT_OF_MEMORY when the card has no more: still evicted then), FileError.
  virtual void restore() = 0;

  virtual StoreBytes bytes() const noexcept = 0;
  // Never blocks on the GPU.
  virtual StoreCounters counters() = 0;
};

}  // namespace tensorrt_node::weights
