#include "world.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "settings.h"

namespace simulator {

namespace {

SimulatorActivity describe(const Report& report, const Queue& queue) {
  SimulatorActivity activity{};
  activity.kind = report.kind;
  activity.device = queue.device;
  activity.stream = queue.number;
  activity.from = report.from;
  activity.to = report.to;
  std::copy(report.grid.begin(), report.grid.end(), activity.grid);
  std::copy(report.block.begin(), report.block.end(), activity.block);
  activity.sharedBytes = report.sharedBytes;
  return activity;
}

void tellDone(SimulatorActivity activity, const std::string& name, Time start, Time end) {
  activity.name = name.c_str();
  activity.start = nanoseconds(start);
  activity.end = nanoseconds(end);
  tell(activity);
}

}  // namespace

World::World() : config(simulatorDefaults()) {
  applyEnvironment(*this);
  random.seed(config.seed);
  devices.resize(config.devices);
}

void World::waitFor(Lock& lock, const std::shared_ptr<const Completion>& completion) {
  if (completion == nullptr) return;
  progress.wait(lock, [&] { return completion->done; });
  hostLearns(*completion);
}

void World::drain(Lock& lock) {
  // A copy: the lock is let go while waiting.
  std::vector<std::shared_ptr<Queue>> queues = closing;
  for (const auto& [handle, queue] : streams) queues.push_back(queue);
  for (const auto& queue : queues) waitFor(lock, queue->last);
}

Access World::next(Queue& queue, std::string_view what) {
  queue.clock.join(host);
  Access access;
  access.timeline = queue.timeline;
  access.tick = queue.clock.advance(queue.timeline);
  access.known = std::make_shared<const Clock>(queue.clock);
  access.what = std::make_shared<const std::string>(std::string(what) + " on stream " + std::to_string(queue.number));
  return access;
}

Access World::hostAccess(std::string_view what) {
  if (const Access* running = runningHostFunction()) return *running;
  Access access;
  access.timeline = hostTimeline;
  access.tick = host.advance(hostTimeline);
  access.known = std::make_shared<const Clock>(host);
  access.what = std::make_shared<const std::string>(what);
  return access;
}

void World::correlate(std::string_view call) {
  ++lastCorrelation;
  if (!observed()) return;
  const std::string name(call);
  SimulatorActivity activity{};
  activity.kind = SIMULATOR_CALL;
  activity.name = name.c_str();
  activity.correlation = lastCorrelation;
  tell(activity);
}

CUresult World::submit(Queue& queue, Work work) {
  if (queue.capture == nullptr) {
    correlate(work.what);
    return perform(queue, next(queue, work.what), work);
  }
  if (queue.capture->invalidated()) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  queue.capture->add(queue, std::move(work));
  return CUDA_SUCCESS;
}

CUresult World::perform(Queue& queue, const Access& access, const Work& work, const NodePlace& place) {
  std::vector<Range> ranges(work.touches.size());
  for (std::size_t i = 0; i < ranges.size(); ++i)
    if (const CUresult result = allowed(access, work.touches[i], ranges[i]); result != CUDA_SUCCESS) return result;
  for (const Range& each : ranges) enter(access, each);

  std::chrono::nanoseconds duration = work.duration + std::chrono::nanoseconds(config.operationNs);
  if (config.jitterNs > 0) duration += std::chrono::nanoseconds(random() % (config.jitterNs + 1));
  if (config.copyBytesPerSecond > 0)
    duration += std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(work.copied) * 1e9 /
                                                                   static_cast<double>(config.copyBytesPerSecond)));
  auto completion = std::make_shared<Completion>();
  completion->clock = *access.known;
  if (work.signal) signals[work.signal->address].push_back({work.signal->value, completion});
  std::function<void()> run;
  if (work.run) run = [access, body = work.run] { body(access); };
  std::function<void(Time, Time)> report;
  if (work.report && observed()) {
    SimulatorActivity activity = describe(*work.report, queue);
    activity.bytes = work.copied;
    activity.correlation = lastCorrelation;
    activity.graph = place.graph;
    activity.node = place.node;
    report = [activity, name = work.what](Time start, Time end) { tellDone(activity, name, start, end); };
  }
  queue.push({nullptr, duration, std::move(run), std::move(completion), std::move(report)});
  return CUDA_SUCCESS;
}

void World::queueWait(Queue& queue, std::string_view what, std::shared_ptr<const Completion> after,
                      std::function<void(Time, Time)> report) {
  if (after != nullptr) queue.clock.join(after->clock);
  auto completion = std::make_shared<Completion>();
  completion->clock = *next(queue, what).known;
  queue.push({std::move(after), std::chrono::nanoseconds(config.operationNs), nullptr, std::move(completion),
              std::move(report)});
}

// Nodes that nothing orders are on timelines of their own, so that their races are found, though they run one after
// the other.
CUresult World::launch(Queue& queue, GraphExecState& graph) {
  correlate("cuGraphLaunch");
  const bool told = observed();
  const auto began = std::make_shared<Time>();
  queueWait(queue, "cuGraphLaunch", graph.last,
            told ? [began](Time, Time end) { *began = end; } : std::function<void(Time, Time)>());
  const Clock start = queue.clock;
  std::vector<Clock> clocks;
  for (const GraphNode& node : *graph.nodes) {
    Clock clock = start;
    for (const std::size_t before : node.after) clock.join(clocks[before]);
    Access access;
    access.timeline = node.lane == 0 ? queue.timeline : graph.timelines[node.lane - 1];
    access.tick = queue.clock.advance(access.timeline);
    clock.learn(access.timeline, access.tick);
    access.known = std::make_shared<const Clock>(clock);
    access.what = std::make_shared<const std::string>(node.work.what + " in graph " + std::to_string(graph.number) +
                                                      " on stream " + std::to_string(queue.number));
    clocks.push_back(std::move(clock));
    if (const CUresult result = perform(queue, access, node.work, {graph.number, clocks.size()});
        result != CUDA_SUCCESS)
      return result;
  }
  std::function<void(Time, Time)> report;
  if (told) {
    SimulatorActivity activity = describe({.kind = SIMULATOR_GRAPH}, queue);
    activity.correlation = lastCorrelation;
    activity.graph = graph.number;
    report = [activity, began](Time, Time end) { tellDone(activity, "graph", *began, end); };
  }
  queueWait(queue, "the end of a graph", nullptr, std::move(report));
  graph.last = queue.last;
  return CUDA_SUCCESS;
}

bool World::disturbsCapture() {
  bool disturbs = false;
  std::erase_if(captures, [](const auto& each) { return each.expired(); });
  for (const auto& each : captures) {
    const auto capture = each.lock();
    if (capture->ended() || !capture->forbids(std::this_thread::get_id())) continue;
    capture->invalidate();
    disturbs = true;
  }
  return disturbs;
}

bool World::hostReadSignal(Lock& lock, std::uintptr_t address) {
  const auto found = signals.find(address);
  if (found == signals.end()) return false;
  std::vector<PendingSignal>& pending = found->second;
  while (!pending.empty() && pending.front().completion->done) {
    hostLearns(*pending.front().completion);
    pending.erase(pending.begin());
  }
  // Written, and not yet marked as done: the host can be that quick.
  if (pending.empty() || std::atomic_ref(*reinterpret_cast<std::uint32_t*>(address)).load() != pending.front().value)
    return true;
  const auto completion = pending.front().completion;
  waitFor(lock, completion);
  return true;
}

CUresult World::allowed(const Access& access, const Range& range) {
  const std::string does = *access.what + (range.write ? " writes " : " reads ");
  if (range.allocation == nullptr) {
    findings.add(SIMULATOR_OUT_OF_BOUNDS, does + "memory that was never allocated");
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (range.allocation->freed) {
    findings.add(SIMULATOR_USE_AFTER_FREE, does + range.allocation->name() + " after it was freed");
    return CUDA_ERROR_INVALID_VALUE;
  }
  const std::size_t begin = range.address - range.allocation->address;
  if (range.bytes <= range.allocation->bytes - begin) {
    if (range.allocation->backed(begin, begin + range.bytes)) return CUDA_SUCCESS;
    findings.add(SIMULATOR_UNMAPPED, does + std::to_string(range.bytes) + " bytes at offset " + std::to_string(begin) +
                                         " of " + range.allocation->name() + ", not all of them mapped and accessible");
    return CUDA_ERROR_INVALID_VALUE;
  }
  findings.add(SIMULATOR_OUT_OF_BOUNDS, does + std::to_string(range.bytes) + " bytes at offset " +
                                            std::to_string(begin) + " of " + range.allocation->name());
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult World::allowed(const Access& access, const Touch& touch, Range& range) {
  range = {memory.find(touch.address), touch.address, touch.bytes, touch.write};
  if (touch.place == Place::host && range.allocation == nullptr) return CUDA_SUCCESS;
  if (touch.place != Place::any && range.allocation != nullptr &&
      (range.allocation->kind == MemoryKind::device) != (touch.place == Place::device))
    return CUDA_ERROR_INVALID_VALUE;
  return allowed(access, range);
}

void World::enter(const Access& access, const Range& range) {
  if (range.allocation == nullptr) return;
  const std::size_t begin = range.address - range.allocation->address;
  const std::size_t end = begin + range.bytes;
  range.allocation->history.access(begin, end, range.write, access, [&](const Access& earlier, bool earlierWrote) {
    range.allocation->raced = true;
    findings.add(SIMULATOR_RACE, *access.what + (range.write ? " writes bytes " : " reads bytes ") +
                                     std::to_string(begin) + " to " + std::to_string(end) + " of " +
                                     range.allocation->name() + ", which " + *earlier.what +
                                     (earlierWrote ? " wrote" : " read") + ", and nothing orders the two");
  });
}

std::shared_ptr<Queue> World::stream(CUstream handle, std::string_view call) {
  const auto found = streams.find(reinterpret_cast<std::uintptr_t>(handle));
  if (found != streams.end()) return found->second;
  findings.add(SIMULATOR_DEAD_HANDLE, std::string(call) + " on a stream that was destroyed or never was");
  return nullptr;
}

EventState* World::event(CUevent handle, std::string_view call) {
  const auto found = events.find(reinterpret_cast<std::uintptr_t>(handle));
  if (found != events.end()) return &found->second;
  findings.add(SIMULATOR_DEAD_HANDLE, std::string(call) + " on an event that was destroyed or never was");
  return nullptr;
}

void World::findLeaks(std::optional<int> device) {
  const auto report = [&](bool& reported, int on, const std::string& what) {
    if (reported || (device && *device != on)) return;
    reported = true;
    findings.add(SIMULATOR_LEAK, what + (device ? " outlives its context" : " is still alive"));
  };
  memory.forEachLive([&](Allocation& each) { report(each.leakReported, each.device, each.name()); });
  for (auto& [handle, each] : memory.physical)
    report(each.leakReported, each.device, "physical memory " + std::to_string(each.number));
  for (auto& [handle, queue] : streams)
    report(queue->leakReported, queue->device, "stream " + std::to_string(queue->number));
  for (auto& [handle, event] : events)
    report(event.leakReported, event.device, "event " + std::to_string(event.number));
  for (auto& [handle, graph] : graphs)
    report(graph.leakReported, graph.device, "graph " + std::to_string(graph.number));
  for (auto& [handle, graph] : graphExecs)
    report(graph.leakReported, graph.device, "executable graph " + std::to_string(graph.number));
  for (auto& [handle, module] : modules)
    report(module.leakReported, module.device, "module " + std::to_string(module.number));
  if (device) return;
  for (std::size_t i = 0; i < devices.size(); ++i)
    if (devices[i].retained > 0)
      report(devices[i].leakReported, static_cast<int>(i), "the primary context of device " + std::to_string(i));
}

Timeline World::newTimeline() {
  if (freeTimelines.empty()) return timelines++;
  const Timeline timeline = freeTimelines.back();
  freeTimelines.pop_back();
  return timeline;
}

World& world() {
  static World& instance = *std::make_unique<World>().release();
  return instance;
}

std::mutex& engine() {
  static std::mutex& instance = *std::make_unique<std::mutex>().release();
  return instance;
}

const Access*& runningHostFunction() noexcept {
  thread_local const Access* running = nullptr;
  return running;
}

ContextStack& contextStack() noexcept {
  thread_local ContextStack stack{};
  return stack;
}

}  // namespace simulator
