// Everything the simulated driver knows, behind one lock: devices, streams, events, memory, and what it found.
#pragma once

#include <cuda.h>

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "faults.h"
#include "findings.h"
#include "graphs.h"
#include "memory.h"
#include "queue.h"
#include "simulator.h"
#include "work.h"

namespace simulator {

namespace kernels {
struct Reference;
}

using Lock = std::unique_lock<std::mutex>;

struct EventState {
  std::uint64_t number;
  int device;
  unsigned flags;
  // The last record; null for none.
  std::shared_ptr<const Completion> record;
  // If that was in a capture: it, and the nodes before the record.
  std::shared_ptr<Capture> capture;
  std::vector<std::size_t> captured;
  bool leakReported = false;
};

struct DeviceState {
  std::uint64_t retained = 0;
  bool leakReported = false;
};

struct ModuleState {
  std::uint64_t number;
  int device;
  bool leakReported = false;
};

struct FunctionState {
  // The handle of its module.
  std::uintptr_t module;
  const kernels::Reference* kernel;
};

// A signal on its way, or arrived and not yet seen by the host.
struct PendingSignal {
  std::uint32_t value;
  std::shared_ptr<const Completion> completion;
};

// Bytes that an operation reads or writes.
struct Range {
  // Null for memory that is none of the driver's.
  Allocation* allocation;
  std::uintptr_t address;
  std::size_t bytes;
  bool write;
};

// The node of a graph that work is, counted from 1; 0 for work of its own.
struct NodePlace {
  std::uint64_t graph = 0;
  std::uint64_t node = 0;
};

struct World {
  World();

  // The host's view is brought up to date with what it has just seen to be done.
  void hostLearns(const Completion& completion) { host.join(completion.clock); }
  // Blocks until it is done; the host knows then.
  void waitFor(Lock& lock, const std::shared_ptr<const Completion>& completion);
  // What a device-wide synchronise does.
  void drain(Lock& lock);

  // The next operation of the stream as an access, ordered after the stream's work and all the host knows.
  Access next(Queue& queue, std::string_view what);
  // An access by the host, or by the host function that this thread is running.
  Access hostAccess(std::string_view what);
  // Queues work, or captures it. Refused work is not queued.
  CUresult submit(Queue& queue, Work work);
  // Checks what the work of `access` touches and queues it; `queue` need not be the timeline of the access.
  CUresult perform(Queue& queue, const Access& access, const Work& work, const NodePlace& place = {});
  // A call that queues something: told, if anybody is, and given a number that all of it has.
  void correlate(std::string_view call);
  // Queues a wait for `after`, or for nothing but what comes before it.
  void queueWait(Queue& queue, std::string_view what, std::shared_ptr<const Completion> after,
                 std::function<void(Time, Time)> report = nullptr);
  // Launches a graph.
  CUresult launch(Queue& queue, GraphExecState& graph);
  // Whether a capture is under way that forbids this thread calls that may wait; it is then invalid.
  bool disturbsCapture();
  // The host has read memory where a signal may have arrived; false if there never was one.
  bool hostReadSignal(Lock& lock, std::uintptr_t address);

  // CUDA_ERROR_INVALID_VALUE, and a finding, when the range lies in no live allocation.
  CUresult allowed(const Access& access, const Range& range);
  // The same for what work touches, with its allocation.
  CUresult allowed(const Access& access, const Touch& touch, Range& range);
  // Enters an allowed range in the history of its allocation; a race is found.
  void enter(const Access& access, const Range& range);

  // The live stream or event behind a handle; null for one that is dead, which is found against the program.
  std::shared_ptr<Queue> stream(CUstream handle, std::string_view call);
  EventState* event(CUevent handle, std::string_view call);

  void findLeaks(std::optional<int> device);

  Timeline newTimeline();

  std::mutex mutex;
  // Told of each operation that is done.
  std::condition_variable progress;

  SimulatorConfig config;
  Faults faults;
  Findings findings;
  Memory memory;
  std::vector<DeviceState> devices;
  std::map<std::uintptr_t, std::shared_ptr<Queue>> streams;
  // Destroyed ones that still work.
  std::vector<std::shared_ptr<Queue>> closing;
  std::map<std::uintptr_t, EventState> events;
  std::vector<std::weak_ptr<Capture>> captures;
  std::map<std::uintptr_t, GraphState> graphs;
  std::map<std::uintptr_t, GraphExecState> graphExecs;
  // As simulatorTraceLaunches says.
  bool tracesLaunches = false;
  std::map<std::uintptr_t, ModuleState> modules;
  std::map<std::uintptr_t, FunctionState> functions;
  std::map<std::uintptr_t, std::vector<PendingSignal>> signals;
  Clock host;
  Timeline timelines = 1;
  // Timelines of streams that are gone, with all their work known to the host.
  std::vector<Timeline> freeTimelines;
  // Handles are never reused, so that a dead one is known as such.
  std::uintptr_t lastHandle = 0x51'0000'0000;
  std::uint64_t lastStream = 0;
  std::uint64_t lastEvent = 0;
  std::uint64_t lastGraph = 0;
  std::uint64_t lastModule = 0;
  std::uint64_t lastPhysical = 0;
  std::uint64_t lastCorrelation = 0;
  std::mt19937_64 random;
  bool initialised = false;
  bool deinitialised = false;
  // A setting in the environment that made no sense.
  bool misconfigured = false;
};

// Never destroyed: programs may call the driver until the very end.
World& world();

// All simulated engines move bytes under this lock: races are found by what is ordered, and reported in words, instead
// of happening.
std::mutex& engine();

// The access of the host function that this thread is running; null on any other thread.
const Access*& runningHostFunction() noexcept;

// The contexts made current on a thread. It has no destructor: handlers of the process's exit, which call the driver,
// run after the main thread's variables are destroyed.
struct ContextStack {
  std::array<CUcontext, 64> contexts;
  std::size_t size;

  [[nodiscard]] bool empty() const noexcept { return size == 0; }
  [[nodiscard]] CUcontext back() const noexcept { return contexts[size - 1]; }
};
static_assert(std::is_trivially_destructible_v<ContextStack>);

// This thread's.
ContextStack& contextStack() noexcept;

}  // namespace simulator
