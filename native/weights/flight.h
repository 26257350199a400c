// The marks that one block of weights leaves on its way through a place, and what they tell of who waited for whom.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "../cuda/event.h"
#include "../cuda/stream.h"

namespace tensorrt_node::weights {

struct Flight {
  explicit Flight(const std::shared_ptr<const cuda::Context>& context)
      : asked(context, {.timing = true}),
        began(context, {.timing = true}),
        paused(context, {.timing = true}),
        resumed(context, {.timing = true}),
        copied(context, {.timing = true}),
        wanted(context, {.timing = true}),
        freed(context, {.timing = true}) {}

  // On the prefetch stream: before and after the wait for the place, before and after that for what it shares with the
  // other place, and with the block in it.
  cuda::Event asked;
  cuda::Event began;
  cuda::Event paused;
  cuda::Event resumed;
  cuda::Event copied;
  // On the compute stream: before the wait for the block, and behind its use.
  cuda::Event wanted;
  cuda::Event freed;
  // Whether the block was computed with.
  bool used = false;
  // Whether there was a wait between the beginning and the end.
  bool shared = false;
};

struct FlightTimes {
  double copySeconds = 0;
  double computeWaitSeconds = 0;
  double prefetchWaitSeconds = 0;
};

// Flights to be used again, once the GPU is through with them: then they are added up. For one thread at a time.
class Flights {
 public:
  explicit Flights(std::shared_ptr<const cuda::Context> context) noexcept : context_(std::move(context)) {}

  // Throws CudaError.
  std::unique_ptr<Flight> take();
  // All its marks are queued, those of the compute stream only if it was used.
  void giveBack(std::unique_ptr<Flight> flight);

  // Of all flights that are done by now; never waits.
  const FlightTimes& times();

 private:
  void addUp(const Flight& flight) noexcept;

  const std::shared_ptr<const cuda::Context> context_;
  // Ended in this order, as far as the host is concerned.
  std::deque<std::unique_ptr<Flight>> ended_;
  std::deque<std::unique_ptr<Flight>> spare_;
  FlightTimes times_;
};

}  // namespace tensorrt_node::weights
