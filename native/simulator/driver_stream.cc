// Driver functions: streams and events.
#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "call.h"

using namespace simulator;

namespace {

std::uintptr_t valueOf(const void* handle) {
  return reinterpret_cast<std::uintptr_t>(handle);
}

// Forgets destroyed streams that are through, and lets their timelines be used again once the host knows all of them.
void reap(World& state) {
  std::erase_if(state.closing, [&](const std::shared_ptr<Queue>& queue) {
    if (!queue->finished()) return false;
    if (state.host.knows(queue->timeline, queue->clock.at(queue->timeline)))
      state.freeTimelines.push_back(queue->timeline);
    return true;
  });
}

// A capturing stream cannot be waited for, and while a capture is under way its thread cannot wait at all.
CUresult refuseToWait(World& state, const Queue& queue) {
  if (queue.capture != nullptr) queue.capture->invalidate();
  const bool disturbs = state.disturbsCapture();
  return queue.capture != nullptr || disturbs ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}
CUresult refuseToWait(World& state, const EventState& event) {
  if (event.capture != nullptr) {
    event.capture->invalidate();
    return CUDA_ERROR_CAPTURED_EVENT;
  }
  return state.disturbsCapture() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

// A stream that waits for an event of a capture joins it.
CUresult joinCapture(Queue& queue, const EventState& event) {
  if (queue.capture != nullptr && queue.capture->invalidated()) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (event.capture == nullptr || event.capture->ended()) {
    queue.capture->invalidate();
    return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  if (queue.capture != nullptr && queue.capture != event.capture) {
    queue.capture->invalidate();
    event.capture->invalidate();
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  queue.capture = event.capture;
  queue.capture->join(queue, event.captured);
  return CUDA_SUCCESS;
}

void tellWait(const char* call, std::uint64_t stream, int device, Time start) {
  if (!observed()) return;
  SimulatorActivity activity{};
  activity.kind = SIMULATOR_WAIT;
  activity.name = call;
  activity.stream = stream;
  activity.device = device;
  activity.start = nanoseconds(start);
  activity.end = nanoseconds(std::chrono::steady_clock::now());
  tell(activity);
}

}  // namespace

extern "C" {

std::uint64_t simulatorStreamNumber(void* stream) {
  World& state = world();
  const Lock lock(state.mutex);
  const auto found = state.streams.find(valueOf(stream));
  return found == state.streams.end() ? 0 : found->second->number;
}

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
  return call(SIMULATOR_SYMBOL(cuStreamCreate), Needs::context, [&](World& state, Lock&) {
    reap(state);
    if ((flags & CU_STREAM_NON_BLOCKING) == 0)
      state.findings.add(SIMULATOR_DEVICE_WIDE_SYNC,
                         "cuStreamCreate without CU_STREAM_NON_BLOCKING: the legacy stream would stall it");
    const auto queue =
        std::make_shared<Queue>(++state.lastStream, currentDevice(), state.newTimeline(), state.mutex, state.progress);
    // A timeline that was used before goes on where it ended.
    queue->clock = state.host;
    queue->start();
    state.streams.emplace(++state.lastHandle, queue);
    *stream = reinterpret_cast<CUstream>(state.lastHandle);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamDestroy(CUstream stream) {
  return callThatFrees(SIMULATOR_SYMBOL(cuStreamDestroy), Needs::context, [&](World& state, Lock&) {
    const auto queue = state.stream(stream, "cuStreamDestroy");
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (queue->capture != nullptr) {
      queue->capture->invalidate();
      if (queue->capture->beganOn(*queue)) queue->capture->end();
    }
    queue->close();
    state.closing.push_back(queue);
    state.streams.erase(valueOf(stream));
    reap(state);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamQuery(CUstream stream) {
  return call(SIMULATOR_SYMBOL(cuStreamQuery), Needs::context, [&](World& state, Lock&) {
    const auto queue = state.stream(stream, "cuStreamQuery");
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (const CUresult result = refuseToWait(state, *queue); result != CUDA_SUCCESS) return result;
    if (!queue->idle()) return CUDA_ERROR_NOT_READY;
    if (queue->last != nullptr) state.hostLearns(*queue->last);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamSynchronize(CUstream stream) {
  return call(SIMULATOR_SYMBOL(cuStreamSynchronize), Needs::context, [&](World& state, Lock& lock) {
    const auto queue = state.stream(stream, "cuStreamSynchronize");
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (const CUresult result = refuseToWait(state, *queue); result != CUDA_SUCCESS) return result;
    const Time start = std::chrono::steady_clock::now();
    state.waitFor(lock, queue->last);
    tellWait("cuStreamSynchronize", queue->number, queue->device, start);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  return call(SIMULATOR_SYMBOL(cuStreamWaitEvent), Needs::context, [&](World& state, Lock&) {
    const auto queue = state.stream(stream, "cuStreamWaitEvent");
    const EventState* waited = state.event(event, "cuStreamWaitEvent");
    if (queue == nullptr || waited == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (queue->capture != nullptr || (waited->capture != nullptr && !waited->capture->ended()))
      return joinCapture(*queue, *waited);
    if (waited->capture != nullptr) return CUDA_ERROR_CAPTURED_EVENT;
    // Of the record that there is now, whatever is recorded later; none is no wait.
    if (waited->record != nullptr) state.queueWait(*queue, "cuStreamWaitEvent", waited->record);
    return CUDA_SUCCESS;
  });
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
  return call(SIMULATOR_SYMBOL(cuLaunchHostFunc), Needs::context, [&](World& state, Lock&) {
    const auto queue = state.stream(stream, "cuLaunchHostFunc");
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    const auto run = [function, data](const Access& access) {
      World& then = world();
      {
        // Host code sees what host code does, so the rest of the host now knows what came before this, too.
        const std::lock_guard lock(then.mutex);
        then.host.join(*access.known);
      }
      runningHostFunction() = &access;
      function(data);
      runningHostFunction() = nullptr;
    };
    return state.submit(*queue, {.what = "a host function", .touches = {}, .run = run, .signal = {}});
  });
}

CUresult cuEventCreate(CUevent* event, unsigned flags) {
  return call(SIMULATOR_SYMBOL(cuEventCreate), Needs::context, [&](World& state, Lock&) {
    state.events.emplace(++state.lastHandle, EventState{++state.lastEvent, currentDevice(), flags, {}, {}, {}});
    *event = reinterpret_cast<CUevent>(state.lastHandle);
    return CUDA_SUCCESS;
  });
}

CUresult cuEventDestroy(CUevent event) {
  return callThatFrees(SIMULATOR_SYMBOL(cuEventDestroy), Needs::context, [&](World& state, Lock&) {
    if (state.event(event, "cuEventDestroy") == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    state.events.erase(valueOf(event));
    return CUDA_SUCCESS;
  });
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  return call(SIMULATOR_SYMBOL(cuEventRecord), Needs::context, [&](World& state, Lock&) {
    const auto queue = state.stream(stream, "cuEventRecord");
    EventState* recorded = state.event(event, "cuEventRecord");
    if (queue == nullptr || recorded == nullptr || recorded->device != queue->device) return CUDA_ERROR_INVALID_HANDLE;
    recorded->capture = queue->capture;
    recorded->captured = queue->captured;
    recorded->record = nullptr;
    if (queue->capture != nullptr)
      return queue->capture->invalidated() ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
    state.queueWait(*queue, "cuEventRecord", nullptr);
    recorded->record = queue->last;
    return CUDA_SUCCESS;
  });
}

CUresult cuEventQuery(CUevent event) {
  return call(SIMULATOR_SYMBOL(cuEventQuery), Needs::initialised, [&](World& state, Lock&) {
    const EventState* asked = state.event(event, "cuEventQuery");
    if (asked == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (const CUresult result = refuseToWait(state, *asked); result != CUDA_SUCCESS) return result;
    if (asked->record == nullptr) return CUDA_SUCCESS;
    if (!asked->record->done) return CUDA_ERROR_NOT_READY;
    state.hostLearns(*asked->record);
    return CUDA_SUCCESS;
  });
}

CUresult cuEventSynchronize(CUevent event) {
  return call(SIMULATOR_SYMBOL(cuEventSynchronize), Needs::context, [&](World& state, Lock& lock) {
    const EventState* waited = state.event(event, "cuEventSynchronize");
    if (waited == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (const CUresult result = refuseToWait(state, *waited); result != CUDA_SUCCESS) return result;
    // A copy: the event may be recorded anew, or destroyed, while the lock is let go.
    const auto record = waited->record;
    const int device = waited->device;
    const Time start = std::chrono::steady_clock::now();
    state.waitFor(lock, record);
    tellWait("cuEventSynchronize", 0, device, start);
    return CUDA_SUCCESS;
  });
}

// The plain one, which cuda.h hides behind _v2: what drivers before 12.8 have.
#undef cuEventElapsedTime
CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return call("cuEventElapsedTime", Needs::context, [&](World& state, Lock&) {
    const EventState* from = state.event(start, "cuEventElapsedTime");
    const EventState* to = state.event(end, "cuEventElapsedTime");
    if (from == nullptr || to == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (((from->flags | to->flags) & CU_EVENT_DISABLE_TIMING) != 0) return CUDA_ERROR_INVALID_HANDLE;
    if (from->record == nullptr || to->record == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (!from->record->done || !to->record->done) return CUDA_ERROR_NOT_READY;
    *milliseconds = std::chrono::duration<float, std::milli>(to->record->at - from->record->at).count();
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
