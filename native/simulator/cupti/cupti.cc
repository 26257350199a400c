// CUPTI's functions for tests: libcupti on the simulated driver.
#include <chrono>
#include <thread>

#include "state.h"

using namespace simulator::cupti;

namespace {

constexpr int success = 0;
constexpr int invalidParameter = 1;
constexpr int invalidOperation = 7;
constexpr int maxLimitReached = 12;
constexpr int queueEmpty = 18;

std::size_t sizeOf(records::Kind kind) {
  const auto padded = [](std::size_t bytes) { return (bytes + 7) / 8 * 8; };
  switch (kind) {
    case records::Kind::concurrentKernel:
      return padded(sizeof(records::Kernel));
    case records::Kind::copy:
      return padded(sizeof(records::Copy));
    case records::Kind::peerCopy:
      return padded(sizeof(records::PeerCopy));
    case records::Kind::set:
      return padded(sizeof(records::Set));
    case records::Kind::graph:
      return padded(sizeof(records::Graph));
    case records::Kind::synchronization:
      return padded(sizeof(records::Synchronization));
    case records::Kind::externalCorrelation:
      return padded(sizeof(records::ExternalCorrelation));
    case records::Kind::driver:
      break;
  }
  return 0;
}

// Hands over what is full, and at each period all there is.
void work() {
  State& all = state();
  for (;;) {
    {
      std::unique_lock lock(all.mutex);
      const auto period = std::chrono::milliseconds(all.periodMilliseconds > 0 ? all.periodMilliseconds : 1000);
      all.wakeUp.wait_for(lock, period, [&] { return !all.full.empty(); });
      if (all.periodMilliseconds == 0 && all.full.empty()) continue;
    }
    all.deliver();
  }
}

}  // namespace

extern "C" {

#define CUPTI_CALL [[gnu::visibility("default")]] int

CUPTI_CALL cuptiGetVersion(std::uint32_t* version) {
  const std::uint64_t wanted = state().version;
  *version = wanted != 0 ? static_cast<std::uint32_t>(wanted) : 130001;
  return success;
}

CUPTI_CALL cuptiGetResultString(int result, const char** text) {
  *text = result == 35 ? "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES" : "CUPTI_ERROR_UNKNOWN";
  return success;
}

CUPTI_CALL cuptiGetTimestamp(std::uint64_t* time) {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  *time = all.time(static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()));
  return success;
}

CUPTI_CALL cuptiGetContextId(CUcontext context, std::uint32_t* id) {
  // Contexts of the simulated driver are numbered from here.
  constexpr std::uintptr_t firstContext = 0xC0'0000'0000;
  *id = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(context) - firstContext) + 1;
  return success;
}

CUPTI_CALL cuptiGetStreamIdEx(CUcontext, CUstream stream, std::uint8_t, std::uint32_t* id) {
  *id = static_cast<std::uint32_t>(simulatorStreamNumber(stream));
  return *id == 0 ? invalidParameter : success;
}

CUPTI_CALL cuptiActivityRegisterCallbacks(Cupti::RequestBuffer request, Cupti::CompleteBuffer complete) {
  if (request == nullptr || complete == nullptr) return invalidParameter;
  State& all = state();
  const std::lock_guard lock(all.mutex);
  all.request = request;
  all.complete = complete;
  // Detached, as CUPTI's own: it works until the process ends.
  if (!all.threadRuns) std::thread(work).detach();
  all.threadRuns = true;
  return success;
}

CUPTI_CALL cuptiActivityRegisterTimestampCallback(Cupti::Timestamp callback) {
  if (callback == nullptr) return invalidParameter;
  State& all = state();
  const std::lock_guard lock(all.mutex);
  all.timestamp = callback;
  return success;
}

CUPTI_CALL cuptiActivityEnable(records::Kind kind) {
  State& all = state();
  if (all.refuse != 0) return static_cast<int>(all.refuse.load());
  {
    const std::lock_guard lock(all.mutex);
    if (all.complete == nullptr) return invalidOperation;
    all.kinds.insert(kind);
  }
  if (kind == records::Kind::graph) simulatorTraceLaunches(1);
  simulatorObserve(observe, nullptr);
  return success;
}

CUPTI_CALL cuptiActivityDisable(records::Kind kind) {
  State& all = state();
  bool last = false;
  {
    const std::lock_guard lock(all.mutex);
    all.kinds.erase(kind);
    last = all.kinds.empty();
  }
  if (kind == records::Kind::graph) simulatorTraceLaunches(0);
  // Without the lock, which observers take.
  if (last) simulatorObserve(nullptr, nullptr);
  return success;
}

CUPTI_CALL cuptiActivityGetNextRecord(std::uint8_t* buffer, std::size_t validBytes, records::Record** record) {
  auto* next = *record == nullptr ? buffer : reinterpret_cast<std::uint8_t*>(*record) + sizeOf((*record)->kind);
  if (next >= buffer + validBytes) return maxLimitReached;
  *record = reinterpret_cast<records::Record*>(next);
  return success;
}

CUPTI_CALL cuptiActivityGetNumDroppedRecords(CUcontext, std::uint32_t, std::size_t* dropped) {
  *dropped = state().dropped.exchange(0);
  return success;
}

CUPTI_CALL cuptiActivityFlushAll(std::uint32_t) {
  state().deliver();
  return success;
}

CUPTI_CALL cuptiActivityFlushPeriod(std::uint32_t milliseconds) {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  all.periodMilliseconds = milliseconds;
  all.wakeUp.notify_one();
  return success;
}

CUPTI_CALL cuptiActivityPushExternalCorrelationId(std::uint32_t kind, std::uint64_t id) {
  Correlations& all = correlations();
  if (kind >= all.sizes.size() || all.sizes[kind] == all.ids[kind].size()) return invalidParameter;
  all.ids[kind][all.sizes[kind]++] = id;
  return success;
}

CUPTI_CALL cuptiActivityPopExternalCorrelationId(std::uint32_t kind, std::uint64_t* last) {
  Correlations& all = correlations();
  if (kind >= all.sizes.size()) return invalidParameter;
  if (all.sizes[kind] == 0) return queueEmpty;
  *last = all.ids[kind][--all.sizes[kind]];
  return success;
}

}  // extern "C"
