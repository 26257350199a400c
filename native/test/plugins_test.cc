// Our plugins through TensorRT's interfaces: from an ONNX node to what runs on a stream.
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/graph.h"
#include "engines.h"
#include "halves.h"
#include "tensorrt/bound_execution.h"
#include "tensorrt/error.h"

namespace cuda = tensorrt_node::cuda;
namespace trt = tensorrt_node::tensorrt;
using test::OnnxModel;
using test::OnnxType;

namespace {

test::OnnxAttributes ours() {
  return test::OnnxAttributes().text("plugin_namespace", "tensorrt_node").text("plugin_version", "1");
}

// y, sum = norm(x + skip): any number of rows of 8.
OnnxModel normModel() {
  return OnnxModel()
      .input("x", {-1, 8}, OnnxType::float16)
      .input("weight", {8}, OnnxType::float16)
      .input("skip", {-1, 8}, OnnxType::float16)
      .output("y", OnnxType::float16)
      .output("sum", OnnxType::float16)
      .node("RmsNorm", {"x", "weight", "skip"}, {"y", "sum"}, "norm",
            ours().real("epsilon", 1e-5F).integer("has_sum", 1));
}

std::string normPlan() {
  return test::planOf(normModel(),
                      {{{"x", test::range({1, 8}, {2, 8}, {8, 8})}, {"skip", test::range({1, 8}, {2, 8}, {8, 8})}}});
}

}  // namespace

TEST(a_plugin_runs_in_an_engine_that_was_built_from_onnx) {
  const auto engine = test::load(normPlan());
  CHECK_EQUAL(engine->outputs().size(), 2U);
  trt::BoundExecution bound(engine, {{3, 8}, {8}, {3, 8}}, {}, "test");
  CHECK(bound.usesGraph());
  const auto fill = [&](std::size_t input, float value) {
    cuda::PinnedBlock& block = *bound.inputs().at(input);
    const auto values = test::halves(std::vector<float>(block.size() / 2, value));
    cuda::noteHostAccess(block.data(), block.size(), true);
    std::memcpy(block.data(), values.data(), block.size());
  };
  for (const float x : {1.0F, 2.0F}) {
    fill(0, x);
    fill(1, 0.5F);
    fill(2, 1);
    bound.launch();
    bound.wait();
    for (const auto each : test::elements<std::uint16_t>(*bound.outputs().at(1)))
      CHECK_EQUAL(test::fromHalf(each), x + 1);
    for (const auto each : test::elements<std::uint16_t>(*bound.outputs().at(0)))
      CHECK(std::fabs(test::fromHalf(each) - 0.5F) < 1e-3F);
  }
}
