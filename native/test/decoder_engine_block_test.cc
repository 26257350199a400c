// One execution of a plan without weights: what it refuses, and what becomes of work that cannot be queued.
#include <string>
#include <vector>

#include "cuda/graph.h"
#include "decoder_engine_toy.h"
#include "engines.h"
#include "tensorrt/block_execution.h"
#include "tensorrt/error.h"

namespace cuda = tensorrt_node::cuda;
namespace trt = tensorrt_node::tensorrt;
namespace toy = test::toy;

namespace {

// The prologue: its table is an input, and the number of tokens 1 to 4 or 5 to 8.
struct Prologue {
  std::shared_ptr<const trt::Engine> engine =
      test::load(test::planOf(toy::prologueModel(test::OnnxType::float16),
                              {{{"tokens", test::range({1}, {4}, {4})}}, {{"tokens", test::range({5}, {8}, {8})}}}));
  cuda::Current current{*engine->memory().context};
  cuda::Stream stream{engine->memory().context, "test"};
  cuda::DeviceBlock tokens = allocate(8 * 4);
  cuda::DeviceBlock table = allocate(toy::vocabulary * toy::width * 2);
  cuda::DeviceBlock hidden = allocate(8 * toy::width * 2);
  cuda::DeviceBlock scratch = allocate(4096);
  trt::BlockExecution execution{engine, "test"};

  cuda::DeviceBlock allocate(std::size_t bytes) { return engine->memory().device->allocate(bytes, stream); }
  void setShapes(std::int64_t rows) {
    const std::vector<trt::NamedShape> shapes{{"tokens", {rows}}};
    execution.setShapes(shapes, stream);
  }
  void place() {
    // Nothing writes them in these tests.
    for (const auto* each : {&tokens, &table})
      CHECK_EQUAL(cuMemsetD8Async(each->address(), 0, each->size(), stream.handle()), CUDA_SUCCESS);
    execution.setAddress("tokens", tokens.address());
    execution.setAddress("table", table.address());
    execution.setAddress("hidden_out", hidden.address());
    execution.setScratch(scratch.address(), scratch.size());
  }
};

}  // namespace

TEST(decoder_engine_blocks_know_their_sizes) {
  Prologue prologue;
  for (const std::int64_t rows : {2, 7, 1}) {
    prologue.setShapes(rows);
    CHECK_EQUAL(trt::shapeText(prologue.execution.dims("hidden_out")),
                trt::shapeText(std::vector<std::int64_t>{rows, toy::width}));
    CHECK_EQUAL(prologue.execution.bytes("hidden_out"), static_cast<std::size_t>(rows) * toy::width * 2);
    CHECK(prologue.execution.scratchBytes() > 0);
  }
}

TEST(decoder_engine_blocks_refuse_shapes_and_names) {
  Prologue prologue;
  CHECK_CONTAINS(std::string(CHECK_THROWS((prologue.setShapes(9), 0), trt::TensorrtError).what()),
                 "no optimization profile of the plan holds tokens [9]");
  const auto missing = CHECK_THROWS((prologue.execution.setShapes({}, prologue.stream), 0), trt::TensorrtError);
  CHECK_CONTAINS(std::string(missing.what()), "no optimization profile");
  const auto unknown = CHECK_THROWS((prologue.execution.setAddress("logits", 0), 0), std::invalid_argument);
  CHECK_CONTAINS(std::string(unknown.what()), "the plan has no input or output 'logits'");
}

TEST(decoder_engine_blocks_want_all_of_their_memory) {
  Prologue prologue;
  prologue.setShapes(4);
  const cuda::DeviceBlock small = prologue.allocate(1);
  const auto scratch =
      CHECK_THROWS((prologue.execution.setScratch(small.address(), small.size()), 0), std::invalid_argument);
  CHECK_CONTAINS(std::string(scratch.what()), "the scratch memory has 1 bytes, the plan needs ");
  const auto unset = CHECK_THROWS((prologue.execution.enqueue(prologue.stream), 0), trt::TensorrtError);
  CHECK_EQUAL(unset.call(), "enqueueV3");
  CHECK_CONTAINS(std::string(unset.what()), "Address is not set for input tensor tokens");
  const auto odd =
      CHECK_THROWS((prologue.execution.setAddress("tokens", prologue.tokens.address() + 4), 0), trt::TensorrtError);
  CHECK_CONTAINS(std::string(odd.what()), "TensorRT refuses the address of 'tokens'");
}

TEST(decoder_engine_blocks_run_on_after_a_failure) {
  Prologue prologue;
  prologue.setShapes(4);
  prologue.place();
  simulatorFail("cuLaunchKernelEx", 1, 1, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  const auto error = CHECK_THROWS((prologue.execution.enqueue(prologue.stream), 0), cuda::CudaError);
  CHECK_EQUAL(error.result(), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  simulatorFail("cuLaunchKernelEx", 1, 1, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  const auto capture = [&] {
    return cuda::Graph::capture(prologue.stream, [&] { prologue.execution.enqueue(prologue.stream); });
  };
  CHECK_THROWS((capture(), 0), cuda::CudaError);
  const cuda::Graph graph = capture();
  graph.launch(prologue.stream);
  prologue.execution.enqueue(prologue.stream);
  prologue.stream.synchronize();
}

TEST(decoder_engine_blocks_that_share_scratch_belong_on_one_stream) {
  test::slowDown(100'000);
  Prologue prologue;
  const cuda::Stream other(prologue.engine->memory().context, "other");
  const auto engine = test::load(
      test::planOf(test::OnnxModel()
                       .input("x", {4, 8}, test::OnnxType::float16)
                       .input("w", {8, 8}, test::OnnxType::float16)
                       .input("norm", {8}, test::OnnxType::float16)
                       .output("y", test::OnnxType::float16)
                       .node("Gemm", {"x", "w"}, {"m"}, "product", test::OnnxAttributes().integer("transB", 1))
                       .node("RmsNorm", {"m", "norm"}, {"y"}, "norm",
                             test::OnnxAttributes().text("plugin_namespace", "tensorrt_node").real("epsilon", 1))));
  const cuda::DeviceBlock x = prologue.allocate(64);
  const cuda::DeviceBlock w = prologue.allocate(128);
  const cuda::DeviceBlock norm = prologue.allocate(16);
  for (const auto* each : {&x, &w, &norm})
    CHECK_EQUAL(cuMemsetD8Async(each->address(), 0, each->size(), prologue.stream.handle()), CUDA_SUCCESS);
  const cuda::DeviceBlock y[] = {prologue.allocate(64), prologue.allocate(64)};
  prologue.stream.synchronize();
  trt::BlockExecution first(engine, "first");
  trt::BlockExecution second(engine, "second");
  std::size_t at = 0;
  for (auto* each : {&first, &second}) {
    each->setShapes({}, prologue.stream);
    each->setAddress("x", x.address());
    each->setAddress("w", w.address());
    each->setAddress("norm", norm.address());
    each->setAddress("y", y[at++].address());
    each->setScratch(prologue.scratch.address(), prologue.scratch.size());
  }
  first.enqueue(prologue.stream);
  second.enqueue(prologue.stream);
  prologue.stream.synchronize();
  CHECK(test::takeFindings().empty());
  first.enqueue(prologue.stream);
  second.enqueue(other);
  prologue.stream.synchronize();
  other.synchronize();
  const auto findings = test::takeFindings();
  CHECK(!findings.empty());
  for (const auto& each : findings) CHECK_EQUAL(each.kind, SIMULATOR_RACE);
}

TEST(decoder_engine_blocks_have_no_inputs_on_the_host) {
  const auto engine = test::load(test::expandPlan());
  const auto error = CHECK_THROWS(trt::BlockExecution(engine, "test"), trt::TensorrtError);
  CHECK_CONTAINS(std::string(error.what()), "'s' is in host memory");
}
