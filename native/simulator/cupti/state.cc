#include "state.h"

#include <time.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string_view>
#include <utility>

#include "simulated_cupti.h"

namespace simulator::cupti {

namespace {

std::uint64_t now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

bool set(State& all, std::string_view name, std::uint64_t value) {
  if (name == "clock") {
    all.clock = value;
  } else if (name == "refuse") {
    all.refuse = value;
  } else if (name == "version") {
    all.version = value;
  } else {
    return false;
  }
  return true;
}

void applyEnvironment(State& made) {
  const char* text = std::getenv("TENSORRT_NODE_SIMULATOR_CUPTI");
  std::string_view left = text == nullptr ? "" : text;
  while (!left.empty()) {
    const std::size_t end = std::min(left.find(','), left.size());
    const std::string_view setting = left.substr(0, end);
    left.remove_prefix(std::min(end + 1, left.size()));
    const std::size_t equals = std::min(setting.find('='), setting.size());
    const std::string_view name = setting.substr(0, equals);
    std::uint64_t value = 0;
    if (equals < setting.size()) std::from_chars(setting.data() + equals + 1, setting.data() + setting.size(), value);
    if (!set(made, name, value)) std::cerr << "TENSORRT_NODE_SIMULATOR_CUPTI: '" << setting << "' makes no sense\n";
  }
}

}  // namespace

State& state() {
  static State& instance = []() -> State& {
    State& made = *std::make_unique<State>().release();
    applyEnvironment(made);
    return made;
  }();
  return instance;
}

Correlations& correlations() noexcept {
  thread_local Correlations all{};
  return all;
}

std::uint64_t State::time(std::uint64_t monotonic) const {
  const std::uint64_t theirs = timestamp != nullptr && clock == 0 ? timestamp() : now(CLOCK_REALTIME);
  return monotonic + (theirs - now(CLOCK_MONOTONIC));
}

void State::setAside() {
  full.push_back(std::exchange(current, {}));
  wakeUp.notify_one();
}

void State::deliver() {
  // A flush returns when all has been handed over, by whichever thread.
  const std::lock_guard turn(delivering);
  std::vector<Buffer> done;
  Cupti::CompleteBuffer client = nullptr;
  {
    const std::lock_guard lock(mutex);
    if (current.used > 0) setAside();
    done.swap(full);
    client = complete;
  }
  for (const Buffer& each : done) client(nullptr, 0, each.memory, each.bytes, each.used);
}

namespace {

template <typename Record>
Record place(const SimulatorActivity& activity, const State& all, records::Kind kind) {
  Record record{};
  record.kind = kind;
  // Two readings of the clocks would differ, and an end lie before its start.
  record.start = all.time(activity.start);
  record.end = record.start + (activity.end - activity.start);
  record.device = static_cast<std::uint32_t>(activity.device);
  record.context = static_cast<std::uint32_t>(activity.device) + 1;
  record.stream = static_cast<std::uint32_t>(activity.stream);
  record.correlation = static_cast<std::uint32_t>(activity.correlation);
  record.graph = static_cast<std::uint32_t>(activity.graph);
  return record;
}

records::Memory memoryOf(SimulatorMemoryKind kind) {
  return kind == SIMULATOR_DEVICE   ? records::Memory::device
         : kind == SIMULATOR_PINNED ? records::Memory::pinned
                                    : records::Memory::pageable;
}

void appendKernel(State& all, const SimulatorActivity& activity) {
  auto record = place<records::Kernel>(activity, all, records::Kind::concurrentKernel);
  record.completed = record.end;
  record.name = all.intern(activity.name);
  record.graphNode = activity.node;
  record.dynamicSharedBytes = static_cast<std::int32_t>(activity.sharedBytes);
  record.registersPerThread = 32;
  for (std::size_t i = 0; i < 3; ++i) {
    record.grid[i] = static_cast<std::int32_t>(activity.grid[i]);
    record.block[i] = static_cast<std::int32_t>(activity.block[i]);
  }
  all.append(record);
}

void appendCopy(State& all, const SimulatorActivity& activity) {
  auto record = place<records::Copy>(activity, all, records::Kind::copy);
  record.from = memoryOf(activity.from);
  record.to = memoryOf(activity.to);
  record.copyKind = activity.from != SIMULATOR_DEVICE ? records::CopyKind::toDevice
                    : activity.to != SIMULATOR_DEVICE ? records::CopyKind::toHost
                                                      : records::CopyKind::onDevice;
  record.bytes = activity.bytes;
  record.graphNode = activity.node;
  all.append(record);
}

void appendSet(State& all, const SimulatorActivity& activity) {
  auto record = place<records::Set>(activity, all, records::Kind::set);
  record.bytes = activity.bytes;
  record.graphNode = activity.node;
  all.append(record);
}

void appendWait(State& all, const SimulatorActivity& activity) {
  records::Synchronization record{};
  record.kind = records::Kind::synchronization;
  record.type = activity.stream == 0 ? records::Wait::event : records::Wait::stream;
  record.start = all.time(activity.start);
  record.end = record.start + (activity.end - activity.start);
  record.context = static_cast<std::uint32_t>(activity.device) + 1;
  record.stream = activity.stream == 0 ? ~std::uint32_t{0} : static_cast<std::uint32_t>(activity.stream);
  all.append(record);
}

// As CUPTI: only beside calls that are recorded.
void appendCorrelations(State& all, const SimulatorActivity& activity) {
  if (!all.wants(records::Kind::driver)) return;
  const Correlations& open = correlations();
  for (std::size_t kind = 0; kind < open.sizes.size(); ++kind) {
    if (open.sizes[kind] == 0) continue;
    records::ExternalCorrelation record{};
    record.kind = records::Kind::externalCorrelation;
    record.externalKind = static_cast<std::uint32_t>(kind);
    record.externalId = open.ids[kind][open.sizes[kind] - 1];
    record.correlation = static_cast<std::uint32_t>(activity.correlation);
    all.append(record);
  }
}

}  // namespace

void observe(const SimulatorActivity* activity, void*) {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  // CUPTI leaves the nodes out where it tells of graphs.
  const bool hidden = activity->node != 0 && all.wants(records::Kind::graph);
  switch (activity->kind) {
    case SIMULATOR_KERNEL:
      if (!hidden && all.wants(records::Kind::concurrentKernel)) appendKernel(all, *activity);
      break;
    case SIMULATOR_COPY:
      if (!hidden && all.wants(records::Kind::copy)) appendCopy(all, *activity);
      break;
    case SIMULATOR_SET:
      if (!hidden && all.wants(records::Kind::set)) appendSet(all, *activity);
      break;
    case SIMULATOR_GRAPH:
      if (all.wants(records::Kind::graph)) all.append(place<records::Graph>(*activity, all, records::Kind::graph));
      break;
    case SIMULATOR_WAIT:
      if (all.wants(records::Kind::synchronization)) appendWait(all, *activity);
      break;
    case SIMULATOR_CALL:
      if (all.wants(records::Kind::externalCorrelation)) appendCorrelations(all, *activity);
      break;
  }
}

}  // namespace simulator::cupti

extern "C" [[gnu::visibility("default")]] int simulatedCuptiSet(const char* name, std::uint64_t value) {
  return simulator::cupti::set(simulator::cupti::state(), name, value) ? 1 : 0;
}
