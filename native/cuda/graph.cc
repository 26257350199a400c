#include "graph.h"

#include <utility>
#include <vector>

#include "driver.h"
#include "graph_tracing.h"

namespace tensorrt_node::cuda {

std::optional<std::size_t> capturedWork(const Stream& stream) {
  const Current current(*stream.context());
  const DriverTable& table = driver();
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  CUgraph graph = nullptr;
  if (table.cuStreamGetCaptureInfo_v2(stream.handle(), &status, nullptr, &graph, nullptr, nullptr) != CUDA_SUCCESS ||
      status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
    return std::nullopt;
  std::size_t count = 0;
  if (table.cuGraphGetNodes(graph, nullptr, &count) != CUDA_SUCCESS) return std::nullopt;
  std::vector<CUgraphNode> nodes(count);
  if (count > 0 && table.cuGraphGetNodes(graph, nodes.data(), &count) != CUDA_SUCCESS) return std::nullopt;
  std::size_t work = 0;
  for (const CUgraphNode node : nodes) {
    CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
    if (table.cuGraphNodeGetType(node, &type) != CUDA_SUCCESS) return std::nullopt;
    if (type == CU_GRAPH_NODE_TYPE_KERNEL || type == CU_GRAPH_NODE_TYPE_MEMCPY || type == CU_GRAPH_NODE_TYPE_MEMSET)
      ++work;
  }
  return work;
}

void Graph::DestroyRecording::operator()(CUgraph graph) const noexcept {
  driver().cuGraphDestroy(graph);
}

// Ends what cuStreamBeginCapture began, whatever happens.
Graph::Recording Graph::endCapture(const Stream& stream, CUresult& result) noexcept {
  CUgraph graph = nullptr;
  result = driver().cuStreamEndCapture(stream.handle(), &graph);
  return Recording(graph);
}

Graph::Recording Graph::record(const Stream& stream, const std::function<void()>& queue) {
  // Only this thread's calls are watched: others may allocate meanwhile.
  check(driver().cuStreamBeginCapture(stream.handle(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture",
        stream.name());
  CUresult result = CUDA_SUCCESS;
  try {
    queue();
  } catch (...) {
    endCapture(stream, result);
    throw;
  }
  Recording recording = endCapture(stream, result);
  check(result, "cuStreamEndCapture", stream.name());
  return recording;
}

Graph Graph::capture(const Stream& stream, const std::function<void()>& queue) {
  const Current current(*stream.context());
  std::optional<Graph> graph;
  // One that was captured while launches were traced would break once they are not: an H100's process ended.
  GraphTracing::instance().without([&] {
    graph.emplace(Graph(stream.context(), record(stream, queue)));
    static_cast<void>(graph->handle(false, stream));
  });
  return std::move(*graph);
}

CUgraphExec Graph::handle(bool traced, const Stream& stream) const {
  CUgraphExec& handle = traced ? traced_ : untraced_;
  if (handle == nullptr)
    check(driver().cuGraphInstantiateWithFlags(&handle, recording_.get(), 0), "cuGraphInstantiateWithFlags",
          stream.name());
  return handle;
}

Graph::~Graph() {
  if (recording_ == nullptr) return;
  const Current current(*context_, std::nothrow);
  // Fail after teardown of the driver, when there is nobody left to tell.
  for (const CUgraphExec handle : {untraced_, traced_})
    if (handle != nullptr) driver().cuGraphExecDestroy(handle);
  recording_.reset();
}

Graph::Graph(Graph&& other) noexcept
    : context_(std::move(other.context_)),
      recording_(std::move(other.recording_)),
      untraced_(std::exchange(other.untraced_, nullptr)),
      traced_(std::exchange(other.traced_, nullptr)) {}

Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(context_, other.context_);
  std::swap(recording_, other.recording_);
  std::swap(untraced_, other.untraced_);
  std::swap(traced_, other.traced_);
  return *this;
}

void Graph::launch(const Stream& stream) const {
  const Current current(*context_);
  const GraphTracing::Hold hold(GraphTracing::instance());
  check(driver().cuGraphLaunch(handle(hold.tracing(), stream), stream.handle()), "cuGraphLaunch", stream.name());
}

}  // namespace tensorrt_node::cuda
