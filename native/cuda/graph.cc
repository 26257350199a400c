#include "graph.h"

#include <utility>

#include "driver.h"

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

Graph Graph::capture(const Stream& stream, const std::function<void()>& queue) {
  const Current current(*stream.context());
  const Recording recording = record(stream, queue);
  Graph graph(stream.context());
  check(driver().cuGraphInstantiateWithFlags(&graph.handle_, recording.get(), 0), "cuGraphInstantiateWithFlags",
        stream.name());
  return graph;
}

Graph::~Graph() {
  if (handle_ == nullptr) return;
  const Current current(*context_, std::nothrow);
  // Fails after teardown of the driver, when there is nobody left to tell.
  driver().cuGraphExecDestroy(handle_);
}

Graph::Graph(Graph&& other) noexcept
    : context_(std::move(other.context_)), handle_(std::exchange(other.handle_, nullptr)) {}

Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(context_, other.context_);
  std::swap(handle_, other.handle_);
  return *this;
}

void Graph::launch(const Stream& stream) const {
  const Current current(*context_);
  check(driver().cuGraphLaunch(handle_, stream.handle()), "cuGraphLaunch", stream.name());
}

}  // namespace tensorrt_node::cuda
