// Which step, phase and part of the model each activity belongs to.
//
// CUPTI tells of a call (by its correlation) in which range it was made, and of the call's work, in no order, in
// buffers that it hands over when they are full, which may take seconds. So work is held until its call's range is
// known, and the work of a graph until all of it is there: in the order of their starts, its activities are those of
// the graph's parts one after another. What is not known by the second buffer after is not waited for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "activity.h"
#include "names.h"
#include "step.h"

namespace tensorrt_node::profile {

// For one thread at a time. Times are nanoseconds of any clock.
class Attribution {
 public:
  // How long work waits at least, and at most.
  static constexpr std::int64_t leastPatience = 200'000'000;
  static constexpr std::int64_t mostPatience = 5'000'000'000;

  void add(const StepRecord& step);
  // What follows is of another buffer.
  void nextBuffer(std::int64_t now) noexcept;
  // The call of that correlation was made in that range.
  void tie(std::uint32_t correlation, std::uint64_t range);
  void add(const Activity& activity, Names& names);

  // Of those added, the ones that were not taken.
  std::size_t size() const noexcept { return held_ + ready_.size(); }
  // Those that became ready, in no order. What has waited for long enough is ready as it is.
  void take(std::deque<Activity>& ready, Names& names, std::int64_t now);
  // All the rest, too.
  void takeAll(std::deque<Activity>& ready, Names& names);

 private:
  struct KnownStep {
    Phase phase;
    std::vector<std::shared_ptr<const GraphParts>> parts;
  };
  struct Call {
    std::uint64_t range = 0;
    // Some of its work was there; and all that it should have.
    bool seen = false;
    bool assigned = false;
    // Whether it is compared with its parts, once that has been decided.
    std::optional<bool> compared;
    std::vector<Activity> waiting;
  };
  struct Since {
    std::int64_t time;
    std::uint64_t buffer;
    std::uint32_t correlation;
  };
  static constexpr std::size_t mostSteps = 32'768;
  // Calls whose work has not come.
  static constexpr std::size_t mostAwaited = 16'384;
  // Launches that had less than their parts, with none between that was like them, until few more are compared: CUPTI
  // may leave some work out for a time, or never tell of some kind of it.
  static constexpr std::uint32_t mostUnlike = 3;
  static constexpr std::uint32_t comparedOf = 64;
  static constexpr std::uint32_t never = ~std::uint32_t{0};

  Call& call(std::uint32_t correlation);
  // Lets go of what is known of; `all`: of the rest, too.
  void settle(Call& call, Names& names, bool all);
  void letGo(Call& call);
  bool isCompared(const std::shared_ptr<const GraphParts>& parts);
  void expire(Names& names, std::int64_t now);

  std::map<std::uint64_t, KnownStep> steps_;
  std::unordered_map<std::uint32_t, Call> calls_;
  // Those, as they came first; then those whose work had not come in time.
  std::deque<Since> order_;
  std::deque<std::uint32_t> awaited_;
  std::uint64_t buffer_ = 0;
  std::int64_t now_ = 0;
  // How often each had another number of activities. Held, as another list may come to lie where one was.
  std::map<std::shared_ptr<const GraphParts>, std::uint32_t> unlike_;
  std::vector<Activity> ready_;
  std::size_t held_ = 0;
};

}  // namespace tensorrt_node::profile
