// Driver functions: capturing streams, graphs, and signals to the host.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "call.h"

using namespace simulator;

namespace {

std::uintptr_t valueOf(const void* handle) {
  return reinterpret_cast<std::uintptr_t>(handle);
}

template <typename State>
State* find(World& state, std::map<std::uintptr_t, State>& among, const void* handle, const char* call) {
  const auto found = among.find(valueOf(handle));
  if (found != among.end()) return &found->second;
  state.findings.add(SIMULATOR_DEAD_HANDLE, std::string(call) + " on a graph that was destroyed or never was");
  return nullptr;
}

CUresult endCapture(World& state, Queue& queue, CUgraph* graph) {
  const std::shared_ptr<Capture> capture = queue.capture;
  if (capture == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  if (!capture->beganOn(queue)) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  if (!capture->mayEndOn(std::this_thread::get_id())) return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  const bool joined = capture->isJoined();
  capture->end();
  if (capture->invalidated()) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (!joined) return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  const auto nodes = std::make_shared<const GraphNodes>(std::move(capture->nodes));
  state.graphs.emplace(++state.lastHandle, GraphState{++state.lastGraph, queue.device, nodes, state.tracesLaunches});
  *graph = reinterpret_cast<CUgraph>(state.lastHandle);
  return CUDA_SUCCESS;
}

CUresult instantiate(World& state, CUgraph graph, CUgraphExec* exec) {
  const GraphState* from = find(state, state.graphs, graph, "cuGraphInstantiateWithFlags");
  if (from == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (from->traced && !state.tracesLaunches) {
    std::fputs("simulator: a graph that was captured while launches were traced was instantiated after that\n", stderr);
    std::abort();
  }
  std::size_t lanes = 1;
  for (const GraphNode& each : *from->nodes) lanes = std::max(lanes, each.lane + 1);
  GraphExecState made{from->number, from->device, from->nodes, {}, nullptr, state.tracesLaunches};
  while (made.timelines.size() + 1 < lanes) made.timelines.push_back(state.newTimeline());
  state.graphExecs.emplace(++state.lastHandle, std::move(made));
  *exec = reinterpret_cast<CUgraphExec>(state.lastHandle);
  return CUDA_SUCCESS;
}

CUstreamCaptureStatus statusOf(const Queue& queue) {
  if (queue.capture == nullptr) return CU_STREAM_CAPTURE_STATUS_NONE;
  return queue.capture->invalidated() ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

// Null where it is no capture that is under way.
const GraphNodes* capturing(World& state, CUgraph graph) {
  for (const auto& each : state.captures)
    if (const auto capture = each.lock();
        capture != nullptr && !capture->ended() && valueOf(capture.get()) == valueOf(graph))
      return &capture->nodes;
  return nullptr;
}

const GraphNode* nodeOf(World& state, CUgraphNode node) {
  const auto* const place = reinterpret_cast<const GraphNode*>(node);
  const auto has = [&](const GraphNodes& nodes) {
    return std::ranges::any_of(nodes, [&](const GraphNode& each) { return &each == place; });
  };
  for (const auto& each : state.captures)
    if (const auto capture = each.lock(); capture != nullptr && !capture->ended() && has(capture->nodes)) return place;
  for (const auto& [handle, graph] : state.graphs)
    if (has(*graph.nodes)) return place;
  return nullptr;
}

CUgraphNodeType typeOf(const Work& work) {
  if (!work.report) return CU_GRAPH_NODE_TYPE_HOST;
  return work.report->kind == SIMULATOR_COPY  ? CU_GRAPH_NODE_TYPE_MEMCPY
         : work.report->kind == SIMULATOR_SET ? CU_GRAPH_NODE_TYPE_MEMSET
                                              : CU_GRAPH_NODE_TYPE_KERNEL;
}

}  // namespace

extern "C" {

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
  return call(SIMULATOR_SYMBOL(cuStreamBeginCapture), Needs::context, [&](World& state, Lock&) {
    const auto queue = state.stream(stream, "cuStreamBeginCapture");
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (queue->capture != nullptr) return CUDA_ERROR_ILLEGAL_STATE;
    queue->capture = std::make_shared<Capture>(*queue, mode);
    queue->capture->join(*queue, {});
    state.captures.push_back(queue->capture);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  return callThatFrees(SIMULATOR_SYMBOL(cuStreamEndCapture), Needs::context, [&](World& state, Lock&) {
    *graph = nullptr;
    const auto queue = state.stream(stream, "cuStreamEndCapture");
    return queue == nullptr ? CUDA_ERROR_INVALID_HANDLE : endCapture(state, *queue, graph);
  });
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
  return call(SIMULATOR_SYMBOL(cuStreamIsCapturing), Needs::context, [&](World& state, Lock&) {
    const auto queue = state.stream(stream, "cuStreamIsCapturing");
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    *status = statusOf(*queue);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long) {
  return call(SIMULATOR_SYMBOL(cuGraphInstantiateWithFlags), Needs::context,
              [&](World& state, Lock&) { return instantiate(state, graph, exec); });
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream stream) {
  return call(SIMULATOR_SYMBOL(cuGraphUpload), Needs::context, [&](World& state, Lock&) {
    const auto queue = state.stream(stream, "cuGraphUpload");
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    return find(state, state.graphExecs, exec, "cuGraphUpload") == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
  });
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  return call(SIMULATOR_SYMBOL(cuGraphLaunch), Needs::context, [&](World& state, Lock&) {
    const auto queue = state.stream(stream, "cuGraphLaunch");
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    GraphExecState* graph = find(state, state.graphExecs, exec, "cuGraphLaunch");
    if (graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (state.tracesLaunches && !graph->traced) {
      std::fputs("simulator: a graph from before launches were traced was launched\n", stderr);
      std::abort();
    }
    if (queue->capture == nullptr) return state.launch(*queue, *graph);
    // A graph inside a graph: the driver can, this cannot.
    queue->capture->invalidate();
    return CUDA_ERROR_NOT_SUPPORTED;
  });
}

CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id, CUgraph* graph,
                                   const CUgraphNode** dependencies, std::size_t* count) {
  return call(SIMULATOR_SYMBOL(cuStreamGetCaptureInfo_v2), Needs::context, [&](World& state, Lock&) {
    const auto queue = state.stream(stream, "cuStreamGetCaptureInfo_v2");
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (id != nullptr || dependencies != nullptr || count != nullptr) return CUDA_ERROR_NOT_SUPPORTED;
    *status = statusOf(*queue);
    // Good until the capture ends.
    if (graph != nullptr) *graph = reinterpret_cast<CUgraph>(queue->capture.get());
    return CUDA_SUCCESS;
  });
}

// Of a graph, or of a capture that is under way.
CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, std::size_t* count) {
  return call(SIMULATOR_SYMBOL(cuGraphGetNodes), Needs::context, [&](World& state, Lock&) {
    const GraphNodes* asked = capturing(state, graph);
    if (asked == nullptr) {
      const GraphState* const ended = find(state, state.graphs, graph, "cuGraphGetNodes");
      if (ended == nullptr) return CUDA_ERROR_INVALID_VALUE;
      asked = ended->nodes.get();
    }
    if (nodes == nullptr) {
      *count = asked->size();
      return CUDA_SUCCESS;
    }
    // Places in the list: good until more is captured.
    *count = std::min(*count, asked->size());
    for (std::size_t i = 0; i < *count; ++i)
      nodes[i] = reinterpret_cast<CUgraphNode>(const_cast<GraphNode*>(&(*asked)[i]));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType* type) {
  return call(SIMULATOR_SYMBOL(cuGraphNodeGetType), Needs::context, [&](World& state, Lock&) {
    const GraphNode* const found = nodeOf(state, node);
    if (found == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *type = typeOf(found->work);
    return CUDA_SUCCESS;
  });
}

// While a launch is under way, too.
CUresult cuGraphExecDestroy(CUgraphExec exec) {
  return callThatFrees(SIMULATOR_SYMBOL(cuGraphExecDestroy), Needs::context, [&](World& state, Lock&) {
    const GraphExecState* graph = find(state, state.graphExecs, exec, "cuGraphExecDestroy");
    if (graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (const Timeline each : graph->timelines)
      if (graph->last == nullptr || state.host.knows(each, graph->last->clock.at(each)))
        state.freeTimelines.push_back(each);
    state.graphExecs.erase(valueOf(exec));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  return callThatFrees(SIMULATOR_SYMBOL(cuGraphDestroy), Needs::context, [&](World& state, Lock&) {
    if (find(state, state.graphs, graph, "cuGraphDestroy") == nullptr) return CUDA_ERROR_INVALID_VALUE;
    state.graphs.erase(valueOf(graph));
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamWriteValue32(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned) {
  return call(SIMULATOR_SYMBOL(cuStreamWriteValue32), Needs::context, [&](World& state, Lock&) {
    const auto queue = state.stream(stream, "cuStreamWriteValue32");
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (address % sizeof value != 0) return CUDA_ERROR_INVALID_VALUE;
    // All that came before is seen by whoever sees the value.
    const auto run = [address, value](const Access&) {
      std::atomic_ref(*reinterpret_cast<cuuint32_t*>(address)).store(value, std::memory_order_release);
    };
    return state.submit(*queue, {.what = "cuStreamWriteValue32",
                                 .touches = {{address, sizeof value, true, Place::any}},
                                 .run = run,
                                 .signal = Signal{address, value}});
  });
}

}  // extern "C"
