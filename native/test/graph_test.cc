// Graphs: work recorded once and launched again.
#include "cuda/graph.h"

#include <cstring>

#include "cuda/copy.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

namespace {

struct Copies {
  std::shared_ptr<const cuda::Context> context = test::context();
  cuda::Stream stream{context, "stream"};
  cuda::PinnedPool pinned{context};
  cuda::DevicePool device{context};
  cuda::PinnedBlock from = pinned.allocate(100);
  cuda::PinnedBlock to = pinned.allocate(100);
  cuda::DeviceBlock memory = device.allocate(100, stream);

  // Without events for the blocks: the owner waits.
  void queue() {
    const cuda::Current current(*context);
    cuda::check(cuda::driver().cuMemcpyHtoDAsync(memory.address(), from.data(), 100, stream.handle()), "to device");
    cuda::check(cuda::driver().cuMemcpyDtoHAsync(to.data(), memory.address(), 100, stream.handle()), "to host");
  }
  void write(int value) {
    cuda::noteHostAccess(from.data(), 100, true);
    std::memset(from.data(), value, 100);
  }
  int read() {
    cuda::noteHostAccess(to.data(), 100, false);
    return static_cast<int>(to.data()[99]);
  }
};

}  // namespace

TEST(a_graph_does_again_what_was_recorded) {
  Copies copies;
  copies.write(1);
  std::memset(copies.to.data(), 0, 100);
  const cuda::Graph graph = cuda::Graph::capture(copies.stream, [&] { copies.queue(); });
  copies.stream.synchronize();
  CHECK_EQUAL(copies.read(), 0);
  for (int i = 1; i < 5; ++i) {
    copies.write(i);
    graph.launch(copies.stream);
    copies.stream.synchronize();
    CHECK_EQUAL(copies.read(), i);
  }
}

TEST(a_launch_without_a_wait_before_the_next_is_found) {
  Copies copies;
  const cuda::Graph graph = cuda::Graph::capture(copies.stream, [&] { copies.queue(); });
  copies.write(1);
  graph.launch(copies.stream);
  // Only said: written in earnest, it would be a data race of the test's own.
  cuda::noteHostAccess(copies.from.data(), 100, true);
  copies.stream.synchronize();
  CHECK_CONTAINS(test::takeOnlyFinding(SIMULATOR_RACE), "the host writes");
}

TEST(what_recording_throws_leaves_the_stream_good) {
  Copies copies;
  CHECK_THROWS(cuda::Graph::capture(copies.stream,
                                    [&]() {
                                      copies.queue();
                                      throw std::runtime_error("on purpose");
                                    }),
               std::runtime_error);
  copies.write(7);
  copies.queue();
  copies.stream.synchronize();
  CHECK_EQUAL(copies.read(), 7);
}

TEST(failed_calls_of_graphs_are_errors_that_name_the_stream) {
  Copies copies;
  for (const char* call : {"cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"}) {
    const std::string symbol = std::string(call) == "cuStreamBeginCapture" ? "cuStreamBeginCapture_v2" : call;
    simulatorFail(symbol.c_str(), 1, 1, CUDA_ERROR_UNKNOWN);
    const auto error = CHECK_THROWS(cuda::Graph::capture(copies.stream, [&] { copies.queue(); }), cuda::CudaError);
    CHECK_EQUAL(error.call(), call);
    CHECK_CONTAINS(error.what(), "stream");
  }
}

TEST(graphs_move_and_may_go_while_their_work_is_under_way) {
  test::slowDown(1'000'000);
  Copies copies;
  copies.write(3);
  {
    cuda::Graph graph = cuda::Graph::capture(copies.stream, [&] { copies.queue(); });
    cuda::Graph other(std::move(graph));
    graph = std::move(other);
    graph.launch(copies.stream);
  }
  copies.stream.synchronize();
  CHECK_EQUAL(copies.read(), 3);
}

TEST(work_of_a_capture_is_counted_as_it_comes_and_only_then) {
  Copies copies;
  CHECK(!cuda::capturedWork(copies.stream));
  const cuda::Graph graph = cuda::Graph::capture(copies.stream, [&] {
    CHECK_EQUAL(cuda::capturedWork(copies.stream).value(), 0U);
    copies.queue();
    const std::size_t once = cuda::capturedWork(copies.stream).value();
    CHECK(once > 0);
    // Marks are no work.
    cuda::Event mark(copies.stream.context());
    copies.stream.record(mark);
    CHECK_EQUAL(cuda::capturedWork(copies.stream).value(), once);
    copies.queue();
    CHECK_EQUAL(cuda::capturedWork(copies.stream).value(), 2 * once);
  });
  CHECK(!cuda::capturedWork(copies.stream));
}

TEST(work_of_a_capture_is_unknown_where_the_driver_does_not_tell) {
  Copies copies;
  for (const char* call : {"cuStreamGetCaptureInfo_v2", "cuGraphGetNodes", "cuGraphNodeGetType"}) {
    const cuda::Graph graph = cuda::Graph::capture(copies.stream, [&] {
      copies.queue();
      simulatorFail(call, 1, 1, CUDA_ERROR_NOT_SUPPORTED);
      CHECK(!cuda::capturedWork(copies.stream));
    });
  }
}
