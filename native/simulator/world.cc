#include "world.h"

#include <algorithm>
#include <utility>

#include "settings.h"

namespace simulator {

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

void World::queueOperation(Queue& queue, const Access& access, std::size_t bytes, std::function<void()> run,
                           std::shared_ptr<const Completion> after) {
  std::uint64_t nanoseconds = config.operationNs;
  if (config.jitterNs > 0) nanoseconds += random() % (config.jitterNs + 1);
  if (config.copyBytesPerSecond > 0)
    nanoseconds +=
        static_cast<std::uint64_t>(static_cast<double>(bytes) * 1e9 / static_cast<double>(config.copyBytesPerSecond));
  auto completion = std::make_shared<Completion>();
  completion->clock = *access.known;
  queue.push({std::move(after), std::chrono::nanoseconds(nanoseconds), std::move(run), std::move(completion)});
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
  if (range.bytes <= range.allocation->bytes - begin) return CUDA_SUCCESS;
  findings.add(SIMULATOR_OUT_OF_BOUNDS, does + std::to_string(range.bytes) + " bytes at offset " +
                                            std::to_string(begin) + " of " + range.allocation->name());
  return CUDA_ERROR_INVALID_VALUE;
}

void World::enter(const Access& access, const Range& range) {
  if (range.allocation == nullptr) return;
  const std::size_t begin = range.address - range.allocation->address;
  const std::size_t end = begin + range.bytes;
  range.allocation->history.access(begin, end, range.write, access, [&](const Access& earlier, bool earlierWrote) {
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
  for (auto& [handle, queue] : streams)
    report(queue->leakReported, queue->device, "stream " + std::to_string(queue->number));
  for (auto& [handle, event] : events)
    report(event.leakReported, event.device, "event " + std::to_string(event.number));
  if (device) return;
  for (std::size_t i = 0; i < devices.size(); ++i)
    if (devices[i].retained > 0)
      report(devices[i].leakReported, static_cast<int>(i), "the primary context of device " + std::to_string(i));
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

std::vector<CUcontext>& contextStack() noexcept {
  thread_local std::vector<CUcontext> contexts;
  return contexts;
}

}  // namespace simulator
