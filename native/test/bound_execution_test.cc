// Engines bound to memory: graphs, what stands in for them, and races between replays.
#include "tensorrt/bound_execution.h"

#include <algorithm>
#include <thread>

#include "engines.h"
#include "tensorrt/error.h"

namespace cuda = tensorrt_node::cuda;
namespace trt = tensorrt_node::tensorrt;

namespace {

void fill(trt::BoundExecution& bound, std::size_t index, float value) {
  const cuda::PinnedBlock& block = *bound.inputs().at(index);
  cuda::noteHostAccess(block.data(), block.size(), true);
  for (std::size_t at = 0; at < block.size(); at += sizeof value) std::memcpy(block.data() + at, &value, sizeof value);
}

void checkOutput(const trt::BoundExecution& bound, float value) {
  for (const float each : test::elements<float>(*bound.outputs().at(0))) CHECK_EQUAL(each, value);
}

}  // namespace

TEST(bound_runs_replay_a_graph) {
  const auto engine = test::load(test::productPlan());
  trt::BoundExecution bound(engine, {{2, 4}}, {}, "test");
  CHECK(bound.usesGraph());
  CHECK_EQUAL(trt::shapeText(bound.outputDims().at(0)), "[2, 3]");
  const auto launches = simulatorCalls("cuGraphLaunch");
  const auto copies = simulatorCalls("cuMemcpyHtoDAsync_v2");
  for (int i = 0; i < 10; ++i) {
    fill(bound, 0, static_cast<float>(i));
    bound.launch();
    bound.wait();
    checkOutput(bound, static_cast<float>(4 * i));
  }
  CHECK_EQUAL(simulatorCalls("cuGraphLaunch"), launches + 10);
  CHECK_EQUAL(simulatorCalls("cuMemcpyHtoDAsync_v2"), copies);
}

TEST(bound_runs_need_no_graph) {
  const auto engine = test::load(test::productPlan());
  trt::BoundExecution bound(engine, {{9, 4}}, {.graph = false, .timing = true}, "test");
  CHECK(!bound.usesGraph());
  CHECK_EQUAL(simulatorCalls("cuGraphLaunch"), 0U);
  fill(bound, 0, 2);
  bound.launch();
  while (!bound.over()) std::this_thread::yield();
  bound.finish();
  checkOutput(bound, 8);
}

TEST(time_on_the_gpu_is_of_the_last_run) {
  test::slowDown(1'000'000);
  const auto engine = test::load(test::productPlan());
  for (const bool graph : {true, false}) {
    trt::BoundExecution bound(engine, {{2, 4}}, {.graph = graph, .timing = true}, "test");
    CHECK_EQUAL(bound.usesGraph(), graph);
    bound.launch();
    CHECK_EQUAL(bound.gpuMilliseconds(), 0.0F);
    bound.wait();
    // Two copies and the engine at the least.
    CHECK(bound.gpuMilliseconds() >= 3);
  }
  const trt::BoundExecution untimed(engine, {{2, 4}}, {}, "test");
  CHECK_THROWS(untimed.gpuMilliseconds(), trt::UnsupportedError);
}

TEST(where_a_graph_cannot_be_recorded_calls_stand_in_for_it) {
  const auto engine = test::load(test::productPlan());
  for (const char* call : {"cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"}) {
    simulatorFail(call, 1, 1, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    trt::BoundExecution bound(engine, {{2, 4}}, {}, "test");
    CHECK(!bound.usesGraph());
    fill(bound, 0, 3);
    bound.launch();
    bound.wait();
    checkOutput(bound, 12);
  }
}

TEST(data_that_decides_shapes_needs_calls) {
  const auto engine = test::load(test::nonZeroPlan());
  trt::BoundExecution bound(engine, {{8}}, {}, "test");
  CHECK(!bound.usesGraph());
  CHECK_EQUAL(trt::shapeText(bound.outputDims().at(0)), "[1, -1]");
  CHECK_EQUAL(bound.outputs().at(0)->size(), 64U);
  for (const float value : {1.0F, 0.0F, 2.0F}) {
    fill(bound, 0, value);
    bound.launch();
    bound.wait();
    CHECK_EQUAL(trt::shapeText(bound.outputDims().at(0)), value == 0 ? "[1, 0]" : "[1, 8]");
  }
}

TEST(values_on_the_host_that_decide_shapes_need_calls) {
  const auto engine = test::load(test::expandPlan());
  std::vector<trt::Shape> dims;
  std::size_t s = 0;
  for (const trt::TensorInfo& tensor : engine->inputs()) {
    if (tensor.name == "s") s = dims.size();
    dims.push_back(tensor.name == "s" ? trt::Shape{2} : trt::Shape{1, 3});
  }
  trt::BoundExecution bound(engine, dims, {}, "test");
  CHECK(!bound.usesGraph());
  CHECK_EQUAL(test::last<std::int64_t>(*bound.inputs().at(s)), 3);
  CHECK_EQUAL(bound.outputs().at(0)->size(), 12 * 3 * sizeof(float));
  for (const std::int64_t count : {12, 1, 5}) {
    cuda::noteHostAccess(bound.inputs().at(s)->data(), 16, true);
    std::memcpy(bound.inputs().at(s)->data(), &count, sizeof count);
    bound.launch();
    bound.wait();
    CHECK_EQUAL(trt::shapeText(bound.outputDims().at(0)), trt::shapeText(std::vector<std::int64_t>{count, 3}));
  }
}

TEST(a_replay_that_is_not_waited_for_is_found) {
  test::slowDown(100'000);
  const auto engine = test::load(test::productPlan());
  trt::BoundExecution bound(engine, {{2, 4}}, {}, "test");
  bound.launch();
  // Only said: written in earnest, it would be a data race of the test's own.
  cuda::noteHostAccess(bound.inputs().at(0)->data(), sizeof(float), true);
  bound.wait();
  CHECK_CONTAINS(test::takeOnlyFinding(SIMULATOR_RACE), "the host writes");
}

TEST(bound_runs_that_fail_leave_the_binding_good) {
  const auto engine = test::load(test::productPlan());
  trt::BoundExecution bound(engine, {{2, 4}}, {}, "test");
  for (const char* call : {"cuGraphLaunch", "cuStreamQuery"}) {
    simulatorFail(call, 1, 1, CUDA_ERROR_LAUNCH_FAILED);
    const auto error = CHECK_THROWS(
        [&]() {
          bound.launch();
          bound.wait();
          return 0;
        }(),
        cuda::CudaError);
    CHECK_EQUAL(error.result(), CUDA_ERROR_LAUNCH_FAILED);
    fill(bound, 0, 1);
    bound.launch();
    bound.wait();
    checkOutput(bound, 4);
  }
}

TEST(new_weights_are_in_the_next_replay) {
  test::TemporaryFolder folder;
  const std::string other = folder.write("other.onnx", test::productModel({-1, 4}, 3).bytes());
  const auto engine = test::load(test::productPlan({"refit"}));
  trt::BoundExecution bound(engine, {{1, 4}}, {}, "test");
  CHECK(bound.usesGraph());
  fill(bound, 0, 1);
  bound.launch();
  bound.wait();
  checkOutput(bound, 4);
  engine->refit(other);
  bound.launch();
  bound.wait();
  checkOutput(bound, 12);
  CHECK(bound.usesGraph());
}

TEST(old_weights_are_not_replayed_when_new_ones_cannot_be_recorded) {
  test::TemporaryFolder folder;
  const std::string other = folder.write("other.onnx", test::productModel({-1, 4}, 3).bytes());
  const auto engine = test::load(test::productPlan({"refit"}));
  trt::BoundExecution bound(engine, {{1, 4}}, {}, "test");
  fill(bound, 0, 1);
  engine->refit(other);
  simulatorFail("cuStreamBeginCapture_v2", 1, 1, CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_THROWS(bound.launch(), cuda::CudaError);
  bound.launch();
  bound.wait();
  checkOutput(bound, 12);
}

TEST(a_binding_that_goes_waits_for_its_run_and_gives_all_memory_back) {
  test::slowDown(1'000'000);
  const auto engine = test::load(test::productPlan());
  std::shared_ptr<cuda::PinnedBlock> kept;
  {
    trt::BoundExecution bound(engine, {{2, 4}}, {}, "test");
    kept = bound.outputs().at(0);
    bound.launch();
  }
  CHECK_EQUAL(engine->memory().device->stats().usedBlocks, 0U);
  CHECK_EQUAL(engine->memory().pinned->stats().usedBlocks, 1U);
  kept.reset();
  CHECK_EQUAL(engine->memory().pinned->stats().usedBlocks, 0U);
}

TEST(bindings_that_cannot_be_made_leave_nothing) {
  const auto engine = test::load(test::productPlan());
  CHECK_THROWS(trt::BoundExecution(engine, {{65, 4}}, {}, "test"), trt::TensorrtError);
  CHECK_THROWS(trt::BoundExecution(engine, {}, {}, "test"), std::invalid_argument);
  simulatedTensorrtSet("enqueue", "fail");
  CHECK_THROWS(trt::BoundExecution(engine, {{2, 4}}, {}, "test"), trt::TensorrtError);
  simulatedTensorrtReset();
  simulatorFail("cuMemAlloc_v2", 1, 8, CUDA_ERROR_OUT_OF_MEMORY);
  engine->memory().device->trim();
  CHECK_THROWS(trt::BoundExecution(engine, {{64, 4}}, {}, "test"), cuda::CudaError);
  CHECK_EQUAL(engine->memory().device->stats().usedBlocks, 0U);
  CHECK_EQUAL(engine->memory().pinned->stats().usedBlocks, 0U);
}

TEST(bindings_of_one_engine_run_beside_each_other) {
  test::slowDown(2'000, 20'000);
  const auto engine = test::load(test::productPlan());
  std::vector<std::string> failures(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < failures.size(); ++t)
    threads.emplace_back([&, t] {
      try {
        trt::BoundExecution bound(engine, {{static_cast<std::int64_t>(t) + 1, 4}},
                                  {.graph = t % 2 == 0, .timing = false}, "thread " + std::to_string(t));
        for (int i = 0; i < 30; ++i) {
          const auto value = static_cast<float>(i) + static_cast<float>(t);
          fill(bound, 0, value);
          bound.launch();
          bound.wait();
          checkOutput(bound, 4 * value);
        }
      } catch (const std::exception& error) {
        failures[t] = error.what();
      }
    });
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) CHECK_EQUAL(failure, "");
}
