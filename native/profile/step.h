// Steps of models: what the host queued for each, told while a collection is under way.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "nvtx.h"

namespace tensorrt_node::profile {

enum class Phase : std::uint8_t { prefill, decode, score };
const char* nameOf(Phase phase) noexcept;

// A part of a model, and how many kernels, copies and sets it has in a graph, in their order. A list of one stands for
// all work of its launch, however much that is.
struct GraphPart {
  std::string name;
  std::size_t work = 0;
};
using GraphParts = std::vector<GraphPart>;

struct ServedRequest {
  // The scheduler's number.
  std::uint64_t number;
  // Rows of the step.
  std::uint32_t tokens;
};

struct StepRecord {
  // From 1, in the process.
  std::uint64_t number = 0;
  std::shared_ptr<const std::string> model;
  Phase phase = Phase::decode;
  // Of queueing it: nanoseconds of CLOCK_MONOTONIC.
  std::int64_t begin = 0;
  std::int64_t end = 0;
  // Padding is not counted.
  std::uint32_t rows = 0;
  // Bytes of weights that its kernels read.
  std::uint64_t bytesRead = 0;
  std::vector<ServedRequest> requests;
  // What the work of each of its ranges is of; null for no part.
  std::vector<std::shared_ptr<const GraphParts>> parts;
};

// What CUPTI is told that a part of a step is queued in: an external correlation.
constexpr std::uint64_t rangeNumber(std::uint64_t step, std::size_t part) noexcept {
  return step << 12 | part;
}
constexpr std::uint64_t stepOfRange(std::uint64_t range) noexcept {
  return range >> 12;
}
constexpr std::size_t partOfRange(std::uint64_t range) noexcept {
  return range & 0xFFF;
}
constexpr std::size_t mostParts = 1 << 12;

// The process's. Safe from any thread.
class StepQueue {
 public:
  // Never destroyed, as schedulers may end later than anything else.
  static StepQueue& instance();

  // Steps are told from now on, and those of before forgotten; `timed`: with events around their work.
  void open(bool timed);
  void close() noexcept;
  bool wanted() const noexcept { return wanted_.load(std::memory_order_relaxed); }
  bool timed() const noexcept { return timed_.load(std::memory_order_relaxed); }

  std::uint64_t number() noexcept { return last_.fetch_add(1, std::memory_order_relaxed) + 1; }
  // What nobody takes in time is lost, and counted.
  void push(StepRecord record) noexcept;
  std::deque<StepRecord> take() noexcept;
  std::uint64_t takeDropped() noexcept { return dropped_.exchange(0); }

 private:
  static constexpr std::size_t most = 16'384;

  std::atomic<bool> wanted_{false};
  std::atomic<bool> timed_{false};
  std::atomic<std::uint64_t> last_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::mutex mutex_;
  std::deque<StepRecord> records_;
};

// A step, while its work is queued: all that this thread queues meanwhile is known as its work. Next to free unless a
// collection is under way, or a tool hears NVTX. One at a time on a thread.
class Step {
 public:
  Step(Phase phase, const std::shared_ptr<const std::string>& model, std::size_t rows) noexcept;
  ~Step();
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  // This thread's; null where none is under way, or nobody is told.
  static Step* current() noexcept;

  // Whether anybody is told; else what follows does nothing.
  bool told() const noexcept { return told_; }
  void serve(std::uint64_t request, std::size_t tokens) noexcept;
  void reads(std::uint64_t bytes) noexcept { record_.bytesRead += bytes; }
  // What the work is of that is in no StepPart.
  void mostly(const std::shared_ptr<const GraphParts>& parts) noexcept;
  const StepRecord& record() const noexcept { return record_; }

 private:
  friend class StepPart;

  const NvtxRange range_;
  bool told_;
  bool entered_ = false;
  StepRecord record_;
};

// A part of the step of this thread, while its work is queued.
class StepPart {
 public:
  explicit StepPart(const std::shared_ptr<const GraphParts>& parts) noexcept;
  ~StepPart();
  StepPart(const StepPart&) = delete;
  StepPart& operator=(const StepPart&) = delete;

 private:
  bool entered_ = false;
};

}  // namespace tensorrt_node::profile
