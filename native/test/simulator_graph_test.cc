// The simulated driver's stream capture and graphs: what is captured, what replays do, what may not be captured.
// Straight on the driver's functions.
#include <cuda.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "cuda/event.h"
#include "cuda/stream.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;
using test::takeOnlyFinding;

namespace {

constexpr std::size_t size = 4096;

struct Bench {
  std::shared_ptr<const cuda::Context> context = test::context();
  cuda::Current current{*context};
  cuda::Stream first{context, "first"};
  cuda::Stream second{context, "second"};
  cuda::Event fork{context};
  cuda::Event join{context};
  CUdeviceptr device = 0;
  CUdeviceptr other = 0;
  void* pinned = nullptr;

  Bench() {
    CHECK_EQUAL(cuMemAlloc(&device, size), CUDA_SUCCESS);
    CHECK_EQUAL(cuMemAlloc(&other, size), CUDA_SUCCESS);
    CHECK_EQUAL(cuMemHostAlloc(&pinned, size, 0), CUDA_SUCCESS);
  }
  ~Bench() {
    cuStreamSynchronize(first.handle());
    cuStreamSynchronize(second.handle());
    cuMemFree(device);
    cuMemFree(other);
    cuMemFreeHost(pinned);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  CUresult begin(CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) {
    return cuStreamBeginCapture(first.handle(), mode);
  }
  CUresult end(CUgraph& graph) { return cuStreamEndCapture(first.handle(), &graph); }
  // The graph of what is captured now; it can be launched, and is destroyed with this.
  CUgraphExec instantiate() {
    CUgraph graph = nullptr;
    CHECK_EQUAL(end(graph), CUDA_SUCCESS);
    CUgraphExec exec = nullptr;
    CHECK_EQUAL(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
    CHECK_EQUAL(cuGraphDestroy(graph), CUDA_SUCCESS);
    return exec;
  }
  void launch(CUgraphExec exec, const cuda::Stream& stream) {
    CHECK_EQUAL(cuGraphLaunch(exec, stream.handle()), CUDA_SUCCESS);
  }

  CUresult upload(const cuda::Stream& stream) { return cuMemcpyHtoDAsync(device, pinned, size, stream.handle()); }
  CUresult download(const cuda::Stream& stream) { return cuMemcpyDtoHAsync(pinned, device, size, stream.handle()); }
  CUresult fill(const cuda::Stream& stream, CUdeviceptr to, unsigned char value) {
    return cuMemsetD8Async(to, value, size, stream.handle());
  }
  char byte() const { return *static_cast<const char*>(pinned); }
};

}  // namespace

TEST(a_captured_stream_runs_when_its_graph_is_launched_and_as_often) {
  Bench bench;
  CHECK_EQUAL(bench.begin(), CUDA_SUCCESS);
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  CHECK_EQUAL(cuStreamIsCapturing(bench.first.handle(), &status), CUDA_SUCCESS);
  CHECK_EQUAL(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
  std::memset(bench.pinned, 1, size);
  bench.upload(bench.first);
  bench.fill(bench.first, bench.other, 9);
  bench.download(bench.first);
  CUgraph graph = nullptr;
  CHECK_EQUAL(bench.end(graph), CUDA_SUCCESS);
  std::size_t nodes = 0;
  CHECK_EQUAL(cuGraphGetNodes(graph, nullptr, &nodes), CUDA_SUCCESS);
  CHECK_EQUAL(nodes, 3U);
  CUgraphExec exec = nullptr;
  CHECK_EQUAL(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
  CHECK_EQUAL(cuGraphDestroy(graph), CUDA_SUCCESS);

  for (char value = 2; value < 5; ++value) {
    bench.fill(bench.first, bench.device, 0);
    bench.first.synchronize();
    std::memset(bench.pinned, value, size);
    bench.launch(exec, bench.first);
    CHECK_EQUAL(cuMemcpyDtoHAsync(bench.pinned, bench.device, size, bench.first.handle()), CUDA_SUCCESS);
    bench.first.synchronize();
    CHECK_EQUAL(bench.byte(), value);
  }
  CHECK_EQUAL(cuGraphExecDestroy(exec), CUDA_SUCCESS);
}

TEST(a_replay_races_with_other_streams) {
  Bench bench;
  bench.begin();
  bench.upload(bench.first);
  const CUgraphExec exec = bench.instantiate();
  bench.launch(exec, bench.first);
  bench.fill(bench.second, bench.device, 1);
  const std::string message = takeOnlyFinding(SIMULATOR_RACE);
  CHECK_CONTAINS(message, "which cuMemcpyHtoDAsync in graph 1 on stream 1 wrote");
  cuGraphExecDestroy(exec);
}

TEST(a_replay_races_with_the_host) {
  Bench bench;
  bench.begin();
  bench.download(bench.first);
  const CUgraphExec exec = bench.instantiate();
  // Nothing was read yet.
  simulatorHostAccess(bench.pinned, size, 1);
  bench.launch(exec, bench.first);
  simulatorHostAccess(bench.pinned, size, 0);
  takeOnlyFinding(SIMULATOR_RACE);
  bench.first.synchronize();
  simulatorHostAccess(bench.pinned, size, 1);
  bench.launch(exec, bench.first);
  bench.first.synchronize();
  simulatorHostAccess(bench.pinned, size, 0);
  cuGraphExecDestroy(exec);
}

TEST(planted_race_between_branches_of_a_graph_is_found) {
  Bench bench;
  for (const bool planted : {false, true}) {
    bench.begin();
    bench.first.record(bench.fork);
    bench.second.wait(bench.fork);
    bench.fill(bench.second, bench.device, 1);
    bench.fill(bench.first, planted ? bench.device : bench.other, 2);
    bench.second.record(bench.join);
    bench.first.wait(bench.join);
    bench.download(bench.first);
    const CUgraphExec exec = bench.instantiate();
    bench.launch(exec, bench.first);
    if (planted) takeOnlyFinding(SIMULATOR_RACE);
    bench.launch(exec, bench.first);
    if (planted) takeOnlyFinding(SIMULATOR_RACE);
    CHECK(test::takeFindings().empty());
    bench.first.synchronize();
    cuGraphExecDestroy(exec);
  }
}

TEST(launches_of_one_graph_follow_each_other_on_any_streams) {
  Bench bench;
  bench.begin();
  bench.fill(bench.first, bench.device, 1);
  const CUgraphExec exec = bench.instantiate();
  bench.launch(exec, bench.first);
  bench.launch(exec, bench.second);
  bench.launch(exec, bench.first);
  cuGraphExecDestroy(exec);
}

TEST(a_replay_into_freed_memory_is_found) {
  Bench bench;
  CUdeviceptr brief = 0;
  CHECK_EQUAL(cuMemAlloc(&brief, size), CUDA_SUCCESS);
  bench.begin();
  bench.fill(bench.first, brief, 1);
  const CUgraphExec exec = bench.instantiate();
  CHECK_EQUAL(cuMemFree(brief), CUDA_SUCCESS);
  CHECK(cuGraphLaunch(exec, bench.first.handle()) != CUDA_SUCCESS);
  CHECK_CONTAINS(takeOnlyFinding(SIMULATOR_USE_AFTER_FREE), "cuMemsetD8Async in graph 1");
  cuGraphExecDestroy(exec);
}

TEST(host_functions_are_captured) {
  Bench bench;
  std::atomic<int> calls = 0;
  bench.begin();
  bench.download(bench.first);
  const auto count = [](void* data) { ++*static_cast<std::atomic<int>*>(data); };
  CHECK_EQUAL(cuLaunchHostFunc(bench.first.handle(), count, &calls), CUDA_SUCCESS);
  const CUgraphExec exec = bench.instantiate();
  CHECK_EQUAL(calls.load(), 0);
  bench.launch(exec, bench.first);
  bench.launch(exec, bench.first);
  bench.first.synchronize();
  CHECK_EQUAL(calls.load(), 2);
  cuGraphExecDestroy(exec);
}

TEST(a_capture_is_spoilt_by_what_may_not_be_captured) {
  struct Case {
    const char* name;
    CUresult (*call)(Bench&);
    CUresult expected;
  };
  const std::array cases{
      Case{"synchronize", [](Bench& bench) { return cuStreamSynchronize(bench.first.handle()); },
           CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED},
      Case{"synchronize another", [](Bench& bench) { return cuStreamSynchronize(bench.second.handle()); },
           CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED},
      Case{"query", [](Bench& bench) { return cuStreamQuery(bench.first.handle()); },
           CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED},
      Case{"query an event", [](Bench& bench) { return cuEventQuery(bench.join.handle()); },
           CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED},
      Case{"allocate",
           [](Bench&) {
             CUdeviceptr never = 0;
             return cuMemAlloc(&never, size);
           },
           CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED},
      Case{"wait for a captured event",
           [](Bench& bench) {
             cuEventRecord(bench.fork.handle(), bench.first.handle());
             return cuEventSynchronize(bench.fork.handle());
           },
           CUDA_ERROR_CAPTURED_EVENT},
      Case{"wait for uncaptured work",
           [](Bench& bench) {
             bench.fill(bench.second, bench.other, 1);
             cuEventRecord(bench.fork.handle(), bench.second.handle());
             return cuStreamWaitEvent(bench.first.handle(), bench.fork.handle(), 0);
           },
           CUDA_ERROR_STREAM_CAPTURE_ISOLATION},
      Case{"the legacy stream", [](Bench& bench) { return cuMemcpyDtoH(bench.pinned, bench.device, size); },
           CUDA_ERROR_STREAM_CAPTURE_IMPLICIT},
  };
  for (const Case& each : cases) {
    Bench bench;
    bench.begin();
    bench.fill(bench.first, bench.device, 1);
    CHECK_EQUAL(std::string(each.name) + std::to_string(each.call(bench)), each.name + std::to_string(each.expected));
    CHECK_EQUAL(bench.fill(bench.first, bench.device, 1), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    CUgraph graph = nullptr;
    CHECK_EQUAL(bench.end(graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    CHECK(graph == nullptr);
    // And then it is a stream like any other.
    CHECK_EQUAL(bench.fill(bench.first, bench.device, 1), CUDA_SUCCESS);
    CHECK(test::takeFindings().empty());
  }
}

TEST(a_branch_must_come_back_before_the_capture_ends) {
  Bench bench;
  bench.begin();
  bench.first.record(bench.fork);
  bench.second.wait(bench.fork);
  bench.fill(bench.second, bench.device, 1);
  CUgraph graph = nullptr;
  CHECK_EQUAL(cuStreamEndCapture(bench.second.handle(), &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
  CHECK_EQUAL(bench.end(graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
  CHECK_EQUAL(bench.fill(bench.second, bench.device, 1), CUDA_SUCCESS);
  CHECK_EQUAL(bench.end(graph), CUDA_ERROR_ILLEGAL_STATE);
}

TEST(only_a_global_capture_is_disturbed_by_other_threads) {
  for (const bool global : {false, true}) {
    Bench bench;
    bench.begin(global ? CU_STREAM_CAPTURE_MODE_GLOBAL : CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    CUresult result = CUDA_SUCCESS;
    CUgraph graph = nullptr;
    CUresult ended = CUDA_SUCCESS;
    std::thread([&] {
      const cuda::Current current(*bench.context);
      if (!global) ended = bench.end(graph);
      CUdeviceptr memory = 0;
      result = cuMemAlloc(&memory, size);
      if (result == CUDA_SUCCESS) cuMemFree(memory);
    }).join();
    if (!global) CHECK_EQUAL(ended, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
    CHECK_EQUAL(result, global ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS);
    CHECK_EQUAL(bench.end(graph), global ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS);
    if (graph != nullptr) cuGraphDestroy(graph);
  }
}

TEST(graphs_leak_like_anything_else) {
  Bench bench;
  bench.begin();
  CUgraph graph = nullptr;
  CHECK_EQUAL(bench.end(graph), CUDA_SUCCESS);
  CUgraphExec exec = nullptr;
  CHECK_EQUAL(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
  simulatorFindLeaks();
  std::string all;
  for (const auto& each : test::takeFindings()) all += each.message + "\n";
  CHECK_CONTAINS(all, "leak: graph 1 is still alive");
  CHECK_CONTAINS(all, "leak: executable graph 1 is still alive");
  CHECK_EQUAL(cuGraphExecDestroy(exec), CUDA_SUCCESS);
  CHECK_EQUAL(cuGraphDestroy(graph), CUDA_SUCCESS);
  CHECK_EQUAL(cuGraphDestroy(graph), CUDA_ERROR_INVALID_VALUE);
  takeOnlyFinding(SIMULATOR_DEAD_HANDLE);
}

TEST(the_host_may_watch_a_number_instead_of_an_event) {
  Bench bench;
  void* memory = nullptr;
  CHECK_EQUAL(cuMemHostAlloc(&memory, 64, 0), CUDA_SUCCESS);
  CUdeviceptr address = 0;
  CHECK_EQUAL(cuMemHostGetDevicePointer(&address, memory, 0), CUDA_SUCCESS);
  std::atomic_ref flag(*static_cast<std::uint32_t*>(memory));
  flag = 0;
  bench.begin();
  bench.download(bench.first);
  CHECK_EQUAL(cuStreamWriteValue32(bench.first.handle(), address, 1, 0), CUDA_SUCCESS);
  const CUgraphExec exec = bench.instantiate();
  for (int i = 0; i < 3; ++i) {
    bench.launch(exec, bench.first);
    while (flag.load(std::memory_order_acquire) != 1) continue;
    simulatorHostAccess(memory, sizeof(std::uint32_t), 0);
    simulatorHostAccess(bench.pinned, size, 1);
    simulatorHostAccess(memory, sizeof(std::uint32_t), 1);
    flag = 0;
    CHECK(test::takeFindings().empty());
  }
  // Without a look at the number there is no order.
  bench.launch(exec, bench.first);
  simulatorHostAccess(bench.pinned, size, 0);
  takeOnlyFinding(SIMULATOR_RACE);
  bench.first.synchronize();
  cuGraphExecDestroy(exec);
  cuMemFreeHost(memory);
}
