#include "attribution.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace tensorrt_node::profile {

namespace {

std::size_t workOf(const GraphParts& parts) {
  return std::accumulate(parts.begin(), parts.end(), std::size_t{0},
                         [](std::size_t sum, const GraphPart& part) { return sum + part.work; });
}

// Of a graph whose activities come one by one.
bool isNode(const Activity& activity) noexcept {
  return activity.graph != 0 && activity.kind != ActivityKind::graph;
}

void assign(std::vector<Activity>& work, const GraphParts& parts, Names& names) {
  std::stable_sort(work.begin(), work.end(), [](const Activity& a, const Activity& b) { return a.start < b.start; });
  auto next = work.begin();
  for (const GraphPart& part : parts) {
    const std::uint32_t name = names.numberOf(part.name);
    for (std::size_t i = 0; i < part.work; ++i) (next++)->layer = name;
  }
}

}  // namespace

void Attribution::add(const StepRecord& step) {
  steps_[step.number] = {step.phase, step.parts};
  while (steps_.size() > mostSteps) steps_.erase(steps_.begin());
}

void Attribution::nextBuffer(std::int64_t now) noexcept {
  ++buffer_;
  now_ = now;
}

void Attribution::tie(std::uint32_t correlation, std::uint64_t range) {
  call(correlation).range = range;
}

void Attribution::add(const Activity& activity, Names& names) {
  const bool isWork = activity.kind != ActivityKind::synchronize && activity.kind != ActivityKind::range;
  if (!isWork || activity.correlation == 0) {
    ready_.push_back(activity);
    return;
  }
  Call& of = call(activity.correlation);
  of.seen = true;
  of.waiting.push_back(activity);
  ++held_;
  settle(of, names, false);
}

void Attribution::take(std::deque<Activity>& ready, Names& names, std::int64_t now) {
  for (auto& [correlation, each] : calls_) settle(each, names, false);
  expire(names, now);
  ready.insert(ready.end(), ready_.begin(), ready_.end());
  ready_.clear();
}

void Attribution::takeAll(std::deque<Activity>& ready, Names& names) {
  for (auto& [correlation, each] : calls_) settle(each, names, true);
  ready.insert(ready.end(), ready_.begin(), ready_.end());
  *this = {};
}

Attribution::Call& Attribution::call(std::uint32_t correlation) {
  const auto [found, isNew] = calls_.try_emplace(correlation);
  if (isNew) order_.push_back({now_, buffer_, correlation});
  return found->second;
}

void Attribution::settle(Call& call, Names& names, bool all) {
  if (call.waiting.empty()) return;
  const auto known = call.range == 0 ? steps_.end() : steps_.find(stepOfRange(call.range));
  if (known == steps_.end()) {
    if (all) letGo(call);
    return;
  }
  const KnownStep& step = known->second;
  const std::size_t part = partOfRange(call.range);
  const std::shared_ptr<const GraphParts> parts = part < step.parts.size() ? step.parts[part] : nullptr;
  const bool isGraph = isNode(call.waiting.front());
  if (parts != nullptr && parts->size() == 1) {
    const std::uint32_t name = names.numberOf(parts->front().name);
    for (Activity& each : call.waiting)
      if (each.kind == ActivityKind::kernel || isGraph || each.kind == ActivityKind::graph) each.layer = name;
  } else if (parts != nullptr && isGraph) {
    if (!call.compared) call.compared = isCompared(parts);
    const std::size_t expected = workOf(*parts);
    if (*call.compared && !call.assigned && call.waiting.size() < expected && !all) return;
    if (call.assigned) {
      // One too many, which may have shifted the others.
      unlike_[parts] = never;
    } else if (*call.compared && call.waiting.size() == expected) {
      assign(call.waiting, *parts, names);
      call.assigned = true;
      unlike_.erase(parts);
    } else if (*call.compared) {
      ++unlike_[parts];
    }
  }
  const std::uint32_t phase = names.numberOf(nameOf(step.phase));
  for (Activity& each : call.waiting) {
    each.phase = phase;
    each.step = static_cast<std::uint32_t>(stepOfRange(call.range));
  }
  letGo(call);
}

bool Attribution::isCompared(const std::shared_ptr<const GraphParts>& parts) {
  const auto unlike = unlike_.find(parts);
  if (unlike == unlike_.end() || unlike->second < mostUnlike) return true;
  return unlike->second != never && ++unlike->second % comparedOf == 0;
}

void Attribution::letGo(Call& call) {
  held_ -= call.waiting.size();
  ready_.insert(ready_.end(), call.waiting.begin(), call.waiting.end());
  // Its memory, too: few calls have more to come.
  call.waiting = {};
}

void Attribution::expire(Names& names, std::int64_t now) {
  const auto isOver = [&](const Since& since) {
    return since.time + mostPatience <= now || (since.time + leastPatience <= now && since.buffer + 2 <= buffer_);
  };
  while (!order_.empty() && isOver(order_.front())) {
    const std::uint32_t correlation = order_.front().correlation;
    order_.pop_front();
    Call& over = calls_.at(correlation);
    settle(over, names, true);
    if (over.seen) {
      calls_.erase(correlation);
    } else {
      // Its work may be under way, or in a buffer that is not full.
      awaited_.push_back(correlation);
    }
  }
  while (awaited_.size() > mostAwaited) {
    const auto found = calls_.find(awaited_.front());
    settle(found->second, names, true);
    calls_.erase(found);
    awaited_.pop_front();
  }
}

}  // namespace tensorrt_node::profile
