#include "step.h"

#include <new>
#include <utility>

#include "collector.h"
#include "host_time.h"

namespace tensorrt_node::profile {

namespace {

thread_local Step* currentStep = nullptr;

}  // namespace

const char* nameOf(Phase phase) noexcept {
  switch (phase) {
    case Phase::prefill:
      return "prefill";
    case Phase::decode:
      return "decode";
    case Phase::score:
      return "score";
  }
  return "step";
}

StepQueue& StepQueue::instance() {
  alignas(StepQueue) static std::byte storage[sizeof(StepQueue)];
  static auto* const queue = ::new (static_cast<void*>(storage)) StepQueue;
  return *queue;
}

void StepQueue::open(bool timed) {
  const std::lock_guard lock(mutex_);
  records_.clear();
  dropped_ = 0;
  timed_ = timed;
  wanted_ = true;
}

void StepQueue::close() noexcept {
  wanted_ = false;
  timed_ = false;
}

void StepQueue::push(StepRecord record) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    if (records_.size() < most) return records_.push_back(std::move(record));
  } catch (...) {
    // No memory for it.
  }
  ++dropped_;
}

std::deque<StepRecord> StepQueue::take() noexcept {
  const std::lock_guard lock(mutex_);
  return std::exchange(records_, {});
}

Step::Step(Phase phase, const std::shared_ptr<const std::string>& model, std::size_t rows) noexcept
    : range_([&] { return nameOf(phase) + (" " + *model); }, rows),
      told_(currentStep == nullptr && StepQueue::instance().wanted()) {
  if (!told_) return;
  record_.number = StepQueue::instance().number();
  record_.model = model;
  record_.phase = phase;
  record_.rows = static_cast<std::uint32_t>(rows);
  record_.begin = hostTime();
  currentStep = this;
  mostly(nullptr);
  entered_ = Collector::instance().enter(rangeNumber(record_.number, 0));
}

Step::~Step() {
  if (!told_) return;
  if (entered_) Collector::instance().leave();
  currentStep = nullptr;
  record_.end = hostTime();
  StepQueue::instance().push(std::move(record_));
}

Step* Step::current() noexcept {
  return currentStep;
}

void Step::serve(std::uint64_t request, std::size_t tokens) noexcept {
  if (!told_) return;
  try {
    record_.requests.push_back({request, static_cast<std::uint32_t>(tokens)});
  } catch (...) {
    // No memory for it: the step is told without.
  }
}

void Step::mostly(const std::shared_ptr<const GraphParts>& parts) noexcept {
  try {
    if (record_.parts.empty()) record_.parts.emplace_back();
    record_.parts.front() = parts;
  } catch (...) {
    // No memory for it: its work is of no part.
  }
}

StepPart::StepPart(const std::shared_ptr<const GraphParts>& parts) noexcept {
  Step* const step = currentStep;
  if (step == nullptr || !step->entered_) return;
  StepRecord& record = step->record_;
  if (record.parts.size() >= mostParts) return;
  try {
    record.parts.push_back(parts);
  } catch (...) {
    return;
  }
  entered_ = Collector::instance().enter(rangeNumber(record.number, record.parts.size() - 1));
}

StepPart::~StepPart() {
  if (entered_) Collector::instance().leave();
}

}  // namespace tensorrt_node::profile
