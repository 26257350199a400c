// Brings blocks of weights to a ring of places in VRAM, in a fixed cyclic order, just ahead of the steps that use them.
//
// Two places may share part of their memory: a block is copied where its place is its own first, and the rest once the
// block before it was computed with. Computing takes far less time than copying, so copies need not pause for it.
//
// A thread queues copies on a stream of its own as soon as places are free. Events tie that stream and the one that
// computes both ways: computing waits for the block, the next copy to the place waits for the computing. The host waits
// for neither; it does wait for what is still to be read from disk.
#pragma once

#include <cuda.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "../cuda/stream.h"
#include "../kernels/kernels.h"
#include "../tensorrt/engine.h"
#include "flight.h"
#include "host_block.h"
#include "read_ahead.h"
#include "read_plan.h"
#include "usage.h"

namespace tensorrt_node::weights {

struct StreamedBlock {
  std::uint64_t bytes;
  // Of the place.
  CUdeviceptr address;
  std::size_t place;
  // Of the block, what no other place has a part in; the rest is shared with the place before it in the order.
  std::uint64_t ownBegin;
  std::uint64_t ownEnd;
  // In pinned memory; null for what is read.
  const HostBlock* host;
  // How it is read; null for what is in pinned memory.
  const ReadPlan* plan;
};

// acquire(), release(), pause() and resume() are for one thread.
class Prefetcher {
 public:
  // The blocks in the order of a step; what they point to lives longer. `staging` is VRAM for what their plans convert,
  // 0 where none does. Begins paused. Throws FileError, CudaError.
  Prefetcher(const tensorrt::DeviceMemory& memory, std::vector<StreamedBlock> blocks, CUdeviceptr staging,
             const ReadAheadOptions& reading);
  // Waits for copies under way. What computes with the places must be done.
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // As StepWeights', by numbers of the blocks. An order other than the cyclic one begins anew at the block asked for.
  void acquire(std::size_t block, const cuda::Stream& compute);
  void release(std::size_t block, const cuda::Stream& compute);

  // Nothing touches the places when this returns; what computes with them must be done.
  void pause() noexcept;
  // From the first block on.
  void resume();

  // For copies that must be done before, and whatever else comes ahead of the blocks while paused.
  const cuda::Stream& stream() const noexcept { return stream_; }
  void addTo(StoreCounters& counters);
  std::uint64_t pinnedBytes() const noexcept { return reads_ == nullptr ? 0 : reads_->pinnedBytes(); }

 private:
  enum class State {
    // For the next block, once the flight before is over.
    free,
    // A block is on its way, as far as the host is concerned.
    arriving,
    // Copies are queued.
    there,
    // And so is computing.
    acquired,
  };
  struct Place {
    State state = State::free;
    // Where not free.
    std::size_t block = 0;
    // Of the block, once that is there.
    std::unique_ptr<Flight> flight;
    // Of the block before, as long as no copy has been told to wait for its end.
    std::unique_ptr<Flight> before;
  };

  Place& placeOf(std::size_t block) noexcept { return places_[blocks_[block].place]; }

  void work() noexcept;
  // With the lock, which is let go meanwhile.
  void bringNext(std::unique_lock<std::mutex>& lock);
  // Does `queue` without the lock, behind the computing with what `place` held before.
  template <typename Queue>
  void queueBehind(Place& place, std::unique_lock<std::mutex>& lock, Queue queue);
  // Queue the block's copies: to what is its place's own, and to the rest; false if the order was left meanwhile.
  void queueOwn(const StreamedBlock& block);
  bool queueRest(const StreamedBlock& block);
  bool queueRead(const StreamedBlock& block);
  void synchronize() noexcept;

  // With the lock held.
  void restart(std::size_t block, const cuda::Stream& compute);
  // Whatever is on its way is void.
  void abandon() noexcept;
  // The work queued on `compute` so far is the last that uses the place. Throws CudaError, having waited for the work.
  void free(Place& place, const cuda::Stream& compute);

  const std::shared_ptr<const cuda::Context> context_;
  const std::vector<StreamedBlock> blocks_;
  const CUdeviceptr staging_;
  const cuda::Stream stream_;
  // Where plans convert.
  std::shared_ptr<const kernels::Kernels> kernels_;
  // Of each block, the first chunk of it, or of the next one that is read.
  std::vector<std::size_t> firstChunks_;
  // Where blocks are read.
  std::unique_ptr<ReadAhead> reads_;

  std::mutex mutex_;
  // For work(), and for acquire() and pause().
  std::condition_variable wanted_;
  std::condition_variable changed_;
  std::vector<Place> places_;
  Flights flights_;
  bool paused_ = true;
  bool stopping_ = false;
  bool busy_ = false;
  // Counts departures from the order: what began before is void.
  std::uint64_t round_ = 0;
  bool restarting_ = false;
  // The next block to be brought, and to be acquired; none while one is acquired, or after a failure.
  std::size_t next_ = 0;
  std::size_t expected_ = 0;
  // Why nothing is brought any more, until the next restart.
  std::exception_ptr error_;
  StoreCounters counters_;
  std::jthread thread_;
};

}  // namespace tensorrt_node::weights
