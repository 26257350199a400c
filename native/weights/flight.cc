#include "flight.h"

#include <algorithm>
#include <utility>

#include "../cuda/error.h"

namespace tensorrt_node::weights {

namespace {

// With more under way, the oldest are used again without having been added up.
constexpr std::size_t mostEnded = 1024;

double seconds(const cuda::Event& from, const cuda::Event& to) {
  return static_cast<double>(to.millisecondsSince(from)) * 1e-3;
}

bool done(const Flight& flight) noexcept {
  try {
    return (flight.used ? flight.freed : flight.copied).passed();
  } catch (const cuda::CudaError&) {
    // Whoever waits for the work hears of it.
    return false;
  }
}

}  // namespace

std::unique_ptr<Flight> Flights::take() {
  times();
  // Waits that are queued are for the marks as they were then, so that marking anew does not disturb them.
  auto& from = !spare_.empty() || ended_.size() < mostEnded ? spare_ : ended_;
  if (from.empty()) return std::make_unique<Flight>(context_);
  std::unique_ptr<Flight> flight = std::move(from.front());
  from.pop_front();
  flight->used = flight->shared = false;
  return flight;
}

void Flights::giveBack(std::unique_ptr<Flight> flight) {
  ended_.push_back(std::move(flight));
}

const FlightTimes& Flights::times() {
  while (!ended_.empty() && done(*ended_.front())) {
    addUp(*ended_.front());
    spare_.push_back(std::move(ended_.front()));
    ended_.pop_front();
  }
  return times_;
}

void Flights::addUp(const Flight& flight) noexcept {
  try {
    const double paused = flight.shared ? seconds(flight.paused, flight.resumed) : 0;
    times_.copySeconds += seconds(flight.began, flight.copied) - paused;
    times_.prefetchWaitSeconds += seconds(flight.asked, flight.began) + paused;
    if (flight.used) times_.computeWaitSeconds += std::max(0.0, seconds(flight.wanted, flight.copied));
  } catch (const cuda::CudaError&) {
    // Figures are not worth a failure.
    return;
  }
}

}  // namespace tensorrt_node::weights
