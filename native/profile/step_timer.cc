#include "step_timer.h"

#include <atomic>
#include <utility>

#include "collector.h"
#include "host_time.h"

namespace tensorrt_node::profile {

namespace {

std::uint32_t nextNumber() noexcept {
  static std::atomic<std::uint32_t> last{0};
  return ++last;
}

// Times are told from the anchor in milliseconds of 24 bits, and the two clocks drift.
constexpr std::int64_t anchorAge = 1'000'000'000;
// A wait would put the thread to sleep, and it would wake late.
constexpr std::int64_t mostSpin = 1'000'000;

}  // namespace

StepTimer::StepTimer(const cuda::Stream& stream) : stream_(stream.share()), number_(nextNumber()) {}

StepTimer::Mark::Mark(StepTimer& timer) noexcept : timer_(timer), begun_(timer.begin()) {}

StepTimer::Mark::~Mark() {
  if (begun_) timer_.end();
}

bool StepTimer::begin() noexcept {
  const Step* const step = Step::current();
  if (step == nullptr || !StepQueue::instance().timed() || underWay_.size() >= most) return false;
  try {
    if (anchor_ == nullptr || anchor_->time + anchorAge < hostTime()) renewAnchor();
    if (spare_.empty()) {
      const cuda::EventOptions timing{.timing = true};
      spare_.push_back({.begin = cuda::Event(stream_.context(), timing),
                        .end = cuda::Event(stream_.context(), timing),
                        .anchor = nullptr});
    }
    Timed& next = spare_.back();
    next.anchor = anchor_;
    next.step = step->record().number;
    next.phase = step->record().phase;
    stream_.record(next.begin);
    underWay_.push_back(std::move(next));
    spare_.pop_back();
    return true;
  } catch (...) {
    return false;
  }
}

void StepTimer::end() noexcept {
  try {
    stream_.record(underWay_.back().end);
  } catch (...) {
    underWay_.pop_back();
  }
}

void StepTimer::poll() noexcept {
  try {
    while (!underWay_.empty() && underWay_.front().end.passed()) {
      tell(underWay_.front());
      spare_.push_back(std::move(underWay_.front()));
      underWay_.pop_front();
    }
  } catch (...) {
    // The work has failed, or there is no memory: whoever waits for the step hears of that.
    underWay_.clear();
  }
}

void StepTimer::renewAnchor() {
  if (!anchors_) anchors_.emplace(stream_.context(), "profile");
  auto made = std::make_shared<Anchor>(Anchor{cuda::Event(stream_.context(), {.timing = true}), 0});
  const std::int64_t before = hostTime();
  anchors_->record(made->event);
  while (!made->event.passed())
    if (hostTime() > before + mostSpin) made->event.wait();
  // Between the two: some microseconds.
  made->time = before + (hostTime() - before) / 2;
  anchor_ = std::move(made);
}

void StepTimer::tell(const Timed& timed) const {
  const auto timeOf = [&](const cuda::Event& event) {
    return timed.anchor->time + static_cast<std::int64_t>(1e6 * event.millisecondsSince(timed.anchor->event));
  };
  Collector::instance().add({.start = timeOf(timed.begin),
                             .end = timeOf(timed.end),
                             .device = static_cast<std::uint32_t>(stream_.context()->ordinal()),
                             .stream = number_,
                             .streamName = stream_.name(),
                             .phase = timed.phase,
                             .step = timed.step});
}

}  // namespace tensorrt_node::profile
