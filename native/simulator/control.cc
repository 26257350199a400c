// The control functions of simulator.h.
#include <string_view>

#include "world.h"

using namespace simulator;

extern "C" {

SimulatorConfig simulatorDefaults(void) {
  constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;
  return {.devices = 1,
          .deviceBytes = gibibyte,
          .pinnedBytes = gibibyte,
          .operationNs = 0,
          .jitterNs = 0,
          .copyBytesPerSecond = 0,
          .seed = 1,
          .virtualMemory = 1};
}

void simulatorReset(void) {
  World& state = world();
  Lock lock(state.mutex);
  for (const auto& [handle, queue] : state.streams) {
    queue->close();
    state.closing.push_back(queue);
  }
  state.streams.clear();
  for (const auto& queue : state.closing) state.progress.wait(lock, [&] { return queue->finished(); });
  state.closing.clear();
  state.events.clear();
  state.captures.clear();
  state.graphs.clear();
  state.graphExecs.clear();
  state.modules.clear();
  state.functions.clear();
  state.signals.clear();
  state.memory = {};
  state.faults = {};
  state.findings = {};
  state.host = {};
  state.timelines = 1;
  state.lastStream = 0;
  state.lastEvent = 0;
  state.lastGraph = 0;
  state.lastModule = 0;
  state.lastPhysical = 0;
  state.freeTimelines.clear();
  state.config = simulatorDefaults();
  state.random.seed(state.config.seed);
  state.devices.assign(state.config.devices, {});
  state.deinitialised = false;
}

void simulatorConfigure(const SimulatorConfig* config) {
  World& state = world();
  const Lock lock(state.mutex);
  state.config = *config;
  state.random.seed(config->seed);
  state.devices.resize(config->devices);
}

void simulatorFail(const char* symbol, uint64_t nth, uint64_t count, int code) {
  World& state = world();
  const Lock lock(state.mutex);
  state.faults.plan(symbol == nullptr ? "" : symbol, nth, count, static_cast<CUresult>(code));
}

uint64_t simulatorCalls(const char* symbol) {
  World& state = world();
  const Lock lock(state.mutex);
  return state.faults.calls(symbol == nullptr ? "" : symbol);
}

void simulatorTraceLaunches(int on) {
  World& state = world();
  const Lock lock(state.mutex);
  state.tracesLaunches = on != 0;
}

void simulatorDeinitialize(void) {
  World& state = world();
  const Lock lock(state.mutex);
  state.deinitialised = true;
}

void simulatorHostAccess(const void* address, size_t bytes, int write) {
  World& state = world();
  Lock lock(state.mutex);
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  if (write == 0 && bytes == sizeof(std::uint32_t) && state.hostReadSignal(lock, begin)) return;
  Allocation* allocation = state.memory.find(begin);
  if (allocation == nullptr) return;
  const Access access = state.hostAccess("the host");
  const Range range{allocation, begin, bytes, write != 0};
  if (state.allowed(access, range) == CUDA_SUCCESS) state.enter(access, range);
}

void simulatorFindLeaks(void) {
  World& state = world();
  const Lock lock(state.mutex);
  state.findLeaks(std::nullopt);
}

size_t simulatorFindings(const SimulatorFinding** findings) {
  World& state = world();
  const Lock lock(state.mutex);
  return state.findings.list(findings);
}

void simulatorClearFindings(void) {
  World& state = world();
  const Lock lock(state.mutex);
  state.findings = {};
}

}  // extern "C"
