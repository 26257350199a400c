#include "graph.h"

#include <utility>
#include <vector>

#include "driver.h"
#include "graph_tracing.h"

namespace tensorrt_node::cuda {

namespace {

struct DestroyGraph {
  void operator()(CUgraph graph) const noexcept { driver().cuGraphDestroy(graph); }
};
using Recording = std::unique_ptr<CUgraph_st, DestroyGraph>;

// Ends what cuStreamBeginCapture began, whatever happens.
Recording endCapture(const Stream& stream, CUresult& result) noexcept {
  CUgraph graph = nullptr;
  result = driver().cuStreamEndCapture(stream.handle(), &graph);
  return Recording(graph);
}

Recording record(const Stream& stream, const std::function<void()>& queue) {
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

}  // namespace

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

Graph Graph::capture(const Stream& stream, const std::function<void()>& queue) {
  const Current current(*stream.context());
  const Recording recording = record(stream, queue);
  Graph graph(stream.context());
  graph.tracedIn_ = GraphTracing::instance().add([&] {
    check(driver().cuGraphInstantiateWithFlags(&graph.handle_, recording.get(), 0), "cuGraphInstantiateWithFlags",
          stream.name());
  });
  return graph;
}

Graph::~Graph() {
  if (handle_ == nullptr) return;
  const Current current(*context_, std::nothrow);
  // Fails after teardown of the driver, when there is nobody left to tell.
  driver().cuGraphExecDestroy(handle_);
  GraphTracing::instance().remove(tracedIn_);
}

Graph::Graph(Graph&& other) noexcept
    : context_(std::move(other.context_)), handle_(std::exchange(other.handle_, nullptr)), tracedIn_(other.tracedIn_) {}

Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(context_, other.context_);
  std::swap(handle_, other.handle_);
  std::swap(tracedIn_, other.tracedIn_);
  return *this;
}

void Graph::launch(const Stream& stream) const {
  const Current current(*context_);
  check(driver().cuGraphLaunch(handle_, stream.handle()), "cuGraphLaunch", stream.name());
}

}  // namespace tensorrt_node::cuda
