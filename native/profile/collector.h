// Collects what the GPU does, for this process: there is one collection at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "activity.h"
#include "attribution.h"
#include "buffer_pool.h"
#include "cupti.h"
#include "decode.h"
#include "names.h"
#include "step.h"

namespace tensorrt_node::profile {

// A collection is under way.
class BusyError : public std::logic_error {
 public:
  BusyError() : std::logic_error("the GPU's activities are being collected already") {}
};

struct CollectorOptions {
  // Candidates for libcupti. The first collection of the process decides.
  std::vector<std::string> libraries;
  // Nanoseconds of CLOCK_MONOTONIC that activities' times count from.
  std::int64_t origin = 0;
  // Nodes of graphs one by one, not launches as a whole.
  bool graphNodes = false;
  // Which step (step.h) each call was made in; else steps are told without their work.
  bool ranges = false;
  // Without CUPTI: steps alone, by events around their work (step_timer.h).
  bool byEvents = false;
  // Held until they are taken; more are dropped.
  std::size_t mostActivities = 1 << 18;
};

struct CollectorInfo {
  std::string library;
  std::uint32_t version = 0;
};

// What a step did on a stream, as a whole. Times in nanoseconds of CLOCK_MONOTONIC.
struct TimedStep {
  std::int64_t start;
  std::int64_t end;
  std::uint32_t device;
  std::uint32_t stream;
  const std::string& streamName;
  Phase phase;
  std::uint64_t step;
};

struct TakenActivities {
  std::vector<Activity> activities;
  // Their times count from the origin.
  std::deque<StepRecord> steps;
  // Those that are new since the last, numbered on.
  std::vector<std::string> names;
  // Lost since the last, of both.
  std::uint64_t dropped = 0;
};

// Safe from any thread.
class Collector {
 public:
  // Never destroyed: CUPTI calls back until the process ends.
  static Collector& instance();

  // The number of this collection. Throws BusyError, and tensorrt::UnsupportedError where CUPTI is not there or
  // refuses.
  std::uint64_t start(const CollectorOptions& options);
  CollectorInfo info() const;
  // Ends that collection, unless it has ended. Work that is under way is not waited for: it counts as dropped.
  // Activities can be taken until the next start. May take milliseconds.
  void stop(std::uint64_t collection) noexcept;
  // At most `most` activities of that collection; nothing of one that is over and followed by another. Activities come
  // once it is known which step they are of, or that they are of none: some seconds after they ended.
  TakenActivities take(std::uint64_t collection, std::size_t most);

  // For collections by events; others pass over it.
  void add(const TimedStep& timed);

  // For steps.
  bool enter(std::uint64_t range) noexcept;
  void leave() noexcept;

  std::size_t bufferCount() const { return buffers_.count(); }

 private:
  Collector() = default;
  static void requestBuffer(std::uint8_t** buffer, std::size_t* bytes, std::size_t* mostRecords) noexcept;
  static void completeBuffer(CUcontext context, std::uint32_t stream, std::uint8_t* buffer, std::size_t bytes,
                             std::size_t validBytes) noexcept;

  void open(const std::vector<std::string>& libraries);
  void enable(const CollectorOptions& options);
  void enable(cupti::Kind kind);
  void enableRanges() noexcept;
  void disable() noexcept;
  void nameStreams(bool wanted);
  void measureClock();
  void read(std::uint8_t* buffer, std::size_t validBytes);
  // Needs the lock.
  void takeSteps();

  // Of start and stop, taken before the other.
  mutable std::mutex turn_;
  // Once it is open it stays the same.
  std::optional<Cupti> cupti_;
  std::vector<cupti::Kind> enabled_;
  std::uint64_t collection_ = 0;
  bool collecting_ = false;
  std::atomic<bool> ranges_{false};
  BufferPool buffers_{std::size_t{1} << 21, 16};

  // Of what callbacks use.
  std::mutex mutex_;
  bool accepting_ = false;
  bool byEvents_ = false;
  // Of the collection; work of earlier ones may be told late.
  std::uint64_t firstStep_ = 0;
  std::uint64_t accepted_ = 0;
  bool attributing_ = false;
  std::size_t most_ = 0;
  std::int64_t origin_ = 0;
  // From CUPTI's clock to CLOCK_MONOTONIC.
  std::int64_t clockOffset_ = 0;
  Attribution attribution_;
  std::deque<StepRecord> steps_;
  std::deque<Activity> activities_;
  Names names_;
  StreamNameNumbers streams_;
  std::uint64_t dropped_ = 0;
};

}  // namespace tensorrt_node::profile
