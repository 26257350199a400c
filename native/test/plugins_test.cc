// Our plugins through TensorRT's interfaces: from an ONNX node to what runs on a stream.
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "cuda/graph.h"
#include "engines.h"
#include "halves.h"
#include "tensorrt/bound_execution.h"
#include "tensorrt/error.h"
#include "tensorrt/logger.h"

namespace cuda = tensorrt_node::cuda;
namespace trt = tensorrt_node::tensorrt;
using test::OnnxAttributes;
using test::OnnxModel;
using test::OnnxType;

namespace {

constexpr OnnxType f16 = OnnxType::float16;

OnnxAttributes ours() {
  return OnnxAttributes().text("plugin_namespace", "tensorrt_node").text("plugin_version", "1");
}

OnnxAttributes attentionAttributes() {
  return ours()
      .integer("heads", 2)
      .integer("kv_heads", 1)
      .integer("head_size", 64)
      .integer("rotary_size", 64)
      .integer("page_size", 16)
      .real("scale", 0.125F);
}

// Attention over one run of four rows.
OnnxModel attentionModel(const OnnxAttributes& attributes) {
  return OnnxModel()
      .input("qkv", {4, 256}, f16)
      .input("cos", {8, 32})
      .input("sin", {8, 32})
      .input("cache", {2}, OnnxType::int64)
      .input("pages", {1, 1}, OnnxType::int32)
      .input("run_starts", {2}, OnnxType::int32)
      .input("run_slots", {1}, OnnxType::int32)
      .input("positions", {4}, OnnxType::int32)
      .output("y", f16)
      .node("Attention", {"qkv", "cos", "sin", "cache", "pages", "run_starts", "run_slots", "positions"}, {"y"},
            "attention", attributes);
}

// y, sum = norm(x + skip): any number of rows of 8.
OnnxModel normModel(const OnnxAttributes& attributes) {
  return OnnxModel()
      .input("x", {-1, 8}, f16)
      .input("weight", {8}, f16)
      .input("skip", {-1, 8}, f16)
      .output("y", f16)
      .output("sum", f16)
      .node("RmsNorm", {"x", "weight", "skip"}, {"y", "sum"}, "norm", attributes);
}

std::vector<trt::RequestedProfile> normProfiles() {
  return {{{"x", test::range({1, 8}, {2, 8}, {8, 8})}, {"skip", test::range({1, 8}, {2, 8}, {8, 8})}}};
}

std::string normPlan() {
  return test::planOf(normModel(ours().real("epsilon", 1e-5F).integer("has_sum", 1)), normProfiles());
}

// The message of a build that fails.
std::string failure(const OnnxModel& model, std::vector<trt::RequestedProfile> profiles = {}) {
  test::BuildRun build(model);
  build.request.profiles = std::move(profiles);
  return CHECK_THROWS(build.run(), trt::TensorrtError).what();
}

template <typename Element>
void fill(trt::BoundExecution& bound, const std::string& name, const std::vector<Element>& values) {
  for (std::size_t i = 0; i < bound.inputs().size(); ++i) {
    if (bound.engine().inputs()[i].name != name) continue;
    cuda::PinnedBlock& block = *bound.inputs()[i];
    CHECK_EQUAL(block.size(), values.size() * sizeof(Element));
    cuda::noteHostAccess(block.data(), block.size(), true);
    std::memcpy(block.data(), values.data(), block.size());
    return;
  }
  check::fail(__FILE__, __LINE__, "no input " + name);
}

void fillHalves(trt::BoundExecution& bound, const std::string& name, const std::vector<float>& values) {
  fill(bound, name, test::halves(values));
}

std::vector<float> halvesOf(const trt::BoundExecution& bound, std::size_t output) {
  std::vector<float> values;
  for (const auto each : test::elements<std::uint16_t>(*bound.outputs().at(output)))
    values.push_back(test::fromHalf(each));
  return values;
}

void run(trt::BoundExecution& bound) {
  bound.launch();
  bound.wait();
}

void checkNear(const std::vector<float>& values, const std::vector<float>& expected) {
  CHECK_EQUAL(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(std::fabs(values[i] - expected[i]) <= 2e-3F);
}

}  // namespace

TEST(plugins_norm_rows_and_their_sums) {
  const auto engine = test::load(normPlan());
  CHECK_EQUAL(engine->outputs().size(), 2U);
  trt::BoundExecution bound(engine, {{3, 8}, {8}, {3, 8}}, {}, "test");
  CHECK(bound.usesGraph());
  for (const float x : {1.0F, 2.0F}) {
    fillHalves(bound, "x", std::vector<float>(24, x));
    fillHalves(bound, "weight", std::vector<float>(8, 0.5F));
    fillHalves(bound, "skip", std::vector<float>(24, 1));
    run(bound);
    checkNear(halvesOf(bound, 0), std::vector<float>(24, 0.5F));
    checkNear(halvesOf(bound, 1), std::vector<float>(24, x + 1));
  }
}

TEST(plugins_norm_without_sum_has_one_output) {
  const auto engine =
      test::load(test::planOf(OnnxModel()
                                  .input("x", {2, 8}, OnnxType::bfloat16)
                                  .input("weight", {8}, OnnxType::bfloat16)
                                  .output("y", OnnxType::bfloat16)
                                  .node("RmsNorm", {"x", "weight"}, {"y"}, "norm", ours().real("epsilon", 0.5F))));
  trt::BoundExecution bound(engine, {{2, 8}, {8}}, {}, "test");
  fill(bound, "x", test::bfloats(std::vector<float>(16, 0.5F)));
  fill(bound, "weight", test::bfloats(std::vector<float>(8, 3)));
  run(bound);
  // 0.5 / sqrt(0.25 + 0.5) * 3, in bfloat16.
  for (const auto each : test::elements<std::uint16_t>(*bound.outputs().at(0))) CHECK_EQUAL(each, 0x3fde);
}

TEST(plugins_gather_rows_of_a_table) {
  const auto engine = test::load(test::planOf(OnnxModel()
                                                  .input("tokens", {3}, OnnxType::int32)
                                                  .input("table", {2, 2}, f16)
                                                  .output("y", f16)
                                                  .node("Embed", {"tokens", "table"}, {"y"}, "embed", ours())));
  trt::BoundExecution bound(engine, {{3}, {2, 2}}, {}, "test");
  fill<std::int32_t>(bound, "tokens", {1, 0, 7});
  fillHalves(bound, "table", {1, 2, 3, 4});
  run(bound);
  checkNear(halvesOf(bound, 0), {3, 4, 1, 2, 0, 0});
}

TEST(plugins_keep_their_activation) {
  const std::vector<std::pair<std::string, float>> cases{
      {"silu", 0.731059F}, {"gelu_tanh", 0.841192F}, {"gelu_erf", 0.841345F}};
  for (const auto& [name, ofOne] : cases) {
    const auto engine =
        test::load(test::planOf(OnnxModel()
                                    .input("x", {1, 4}, f16)
                                    .output("y", f16)
                                    .node("GatedActivation", {"x"}, {"y"}, "gated", ours().text("activation", name))));
    CHECK_EQUAL(trt::shapeText(engine->outputs().at(0).dims), "[1, 2]");
    trt::BoundExecution bound(engine, {{1, 4}}, {}, "test");
    fillHalves(bound, "x", {1, 0, 2, 5});
    run(bound);
    checkNear(halvesOf(bound, 0), {2 * ofOne, 0});
  }
}

TEST(plugins_multiply_with_bias_and_residual) {
  for (const bool hasBias : {false, true})
    for (const bool hasResidual : {false, true}) {
      OnnxModel model;
      std::vector<std::string> inputs{"x", "w"};
      std::vector<trt::Shape> dims{{1, 2}, {3, 2}};
      model.input("x", {1, 2}, f16).input("w", {3, 2}, f16).output("y");
      const auto add = [&](const std::string& name, const trt::Shape& shape) {
        model.input(name, shape, f16);
        inputs.push_back(name);
        dims.push_back(shape);
      };
      if (hasBias) add("bias", {3});
      if (hasResidual) add("residual", {1, 3});
      model.node("Linear", inputs, {"y"}, "linear",
                 ours()
                     .integer("has_bias", hasBias ? 1 : 0)
                     .integer("has_residual", hasResidual ? 1 : 0)
                     .integer("output_float32", 1));
      const auto engine = test::load(test::planOf(model));
      trt::BoundExecution bound(engine, dims, {}, "test");
      fillHalves(bound, "x", {1, 2});
      fillHalves(bound, "w", {1, 0, 0, 1, 1, 1});
      if (hasBias) fillHalves(bound, "bias", {10, 20, 30});
      if (hasResidual) fillHalves(bound, "residual", {100, 200, 300});
      run(bound);
      const float bias = hasBias ? 10 : 0;
      const float residual = hasResidual ? 100 : 0;
      checkNear(test::elements<float>(*bound.outputs().at(0)),
                {1 + bias + residual, 2 + 2 * (bias + residual), 3 + 3 * (bias + residual)});
    }
}

// gelu_tanh(g) * u, of rows that are normalised: [3, 4] / sqrt(12.5) is [0.848528, 1.131371].
TEST(plugins_multiply_what_they_normalise_and_gate) {
  const auto engine = test::load(test::planOf(OnnxModel()
                                                  .input("x", {1, 2}, f16)
                                                  .input("w", {4, 2}, f16)
                                                  .input("norm", {2}, f16)
                                                  .input("bias", {4}, f16)
                                                  .output("y", f16)
                                                  .node("Linear", {"x", "w", "norm", "bias"}, {"y"}, "linear",
                                                        ours()
                                                            .integer("has_norm", 1)
                                                            .real("epsilon", 0)
                                                            .text("activation", "gelu_tanh")
                                                            .integer("has_bias", 1)
                                                            .integer("has_residual", 0)
                                                            .integer("output_float32", 0))));
  CHECK_EQUAL(trt::shapeText(engine->outputs().at(0).dims), "[1, 2]");
  trt::BoundExecution bound(engine, {{1, 2}, {4, 2}, {2}, {4}}, {}, "test");
  fillHalves(bound, "x", {3, 4});
  fillHalves(bound, "w", {0, 0, 1, 0, 1, 0, 0, 1});
  fillHalves(bound, "norm", {1, 2});
  fillHalves(bound, "bias", {1, 0, 0, 1});
  run(bound);
  checkNear(halvesOf(bound, 0), {0.841192F * 0.848528F, 0.680308F * 3.262742F});
}

TEST(plugins_refuse_attributes_in_words) {
  const auto unary = [](const char* type, const OnnxAttributes& attributes) {
    return OnnxModel()
        .input("x", {2, 8}, f16)
        .input("w", {8}, f16)
        .output("y", f16)
        .node(type, {"x", "w"}, {"y"}, "node", attributes);
  };
  const std::vector<std::pair<OnnxModel, std::string>> cases{
      {unary("RmsNorm", ours()), "plugin RmsNorm, createPlugin: attribute 'epsilon' is missing"},
      {unary("RmsNorm", ours().integer("epsilon", 1)), "attribute 'epsilon' must be a number"},
      {unary("GatedActivation", ours().text("activation", "relu")),
       "attribute 'activation' must be 'silu', 'gelu_tanh' or 'gelu_erf', got 'relu'"},
      {unary("Linear", ours().text("activation", "silu").integer("has_residual", 1)),
       "takes no residual with an activation"},
      {unary("Attention", attentionAttributes().integer("window", -1)), "attribute 'window' must not be negative"},
      {unary("Attention", attentionAttributes().text("cache_type", "fp4")),
       "a cache's type is 'auto', 'fp8' or 'int8'"},
      {attentionModel(ours()
                          .integer("heads", 3)
                          .integer("kv_heads", 2)
                          .integer("head_size", 64)
                          .integer("rotary_size", 0)
                          .integer("page_size", 16)
                          .real("scale", 1)),
       "attribute 'heads' must be a multiple of 'kv_heads'"},
      {attentionModel(ours()
                          .integer("heads", 1)
                          .integer("kv_heads", 1)
                          .integer("head_size", 72)
                          .integer("rotary_size", 0)
                          .integer("page_size", 16)
                          .real("scale", 1)),
       "there is no attention kernel for heads of 72"},
  };
  for (const auto& [model, expected] : cases) CHECK_CONTAINS(failure(model), expected);
}

TEST(plugins_refuse_tensors_in_words) {
  const auto norm = [](OnnxType x, const trt::Shape& weight) {
    return OnnxModel()
        .input("x", {2, 8}, x)
        .input("w", weight, f16)
        .output("y", x)
        .node("RmsNorm", {"x", "w"}, {"y"}, "norm", ours().real("epsilon", 1));
  };
  CHECK_CONTAINS(failure(norm(f16, {4})), "dimension 0 of weight [4] must be 8");
  CHECK_CONTAINS(failure(norm(f16, {8, 1})), "weight [8, 1] must have 1 dimension");
  CHECK_CONTAINS(failure(norm(OnnxType::bfloat16, {8})), "could not find any supported formats");
  CHECK_CONTAINS(failure(norm(OnnxType::float32, {8})), "could not find any supported formats");
  const OnnxModel single = OnnxModel()
                               .input("x", {2, 8}, f16)
                               .output("y", f16)
                               .node("RmsNorm", {"x"}, {"y"}, "norm", ours().real("epsilon", 1));
  CHECK_CONTAINS(failure(single), "takes 2 or 3 inputs, got 1");
  CHECK_CONTAINS(failure(attentionModel(attentionAttributes().integer("decode", 1))),
                 "dimension 0 of run_slots [1] must be 4");
}

TEST(plugins_are_found_by_namespace_and_version) {
  const auto norm = [](const OnnxAttributes& attributes) {
    return OnnxModel()
        .input("x", {2, 8}, f16)
        .input("w", {8}, f16)
        .output("y", f16)
        .node("RmsNorm", {"x", "w"}, {"y"}, "norm", attributes);
  };
  for (const auto& attributes :
       {OnnxAttributes().real("epsilon", 1), ours().text("plugin_version", "2").real("epsilon", 1)})
    CHECK_CONTAINS(failure(norm(attributes)), "Plugin not found");
}

// The builder times plugins on memory that holds anything: addresses from there would be followed.
TEST(plugins_run_no_kernel_for_the_builder) {
  const auto loads = simulatorCalls("cuModuleLoadData");
  const auto launches = simulatorCalls("cuLaunchKernelEx");
  test::planOf(attentionModel(attentionAttributes()));
  normPlan();
  CHECK_EQUAL(simulatorCalls("cuModuleLoadData"), loads);
  CHECK_EQUAL(simulatorCalls("cuLaunchKernelEx"), launches);
}

TEST(plugins_of_another_format_are_refused) {
  normPlan();
  nvinfer1::IPluginCreatorInterface& creator = *getPluginRegistry()->getCreator("RmsNorm", "1", "tensorrt_node");
  const float epsilon = 1;
  const std::int32_t format = 2;
  const nvinfer1::PluginField fields[] = {{"format", &format, nvinfer1::PluginFieldType::kINT32, 1},
                                          {"epsilon", &epsilon, nvinfer1::PluginFieldType::kFLOAT32, 1}};
  const nvinfer1::PluginFieldCollection collection{2, fields};
  const trt::LogCapture log;
  CHECK(static_cast<nvinfer1::IPluginCreatorV3One&>(creator).createPlugin(
            "norm", &collection, nvinfer1::TensorRTPhase::kRUNTIME) == nullptr);
  CHECK_CONTAINS(log.explain(""), "the plan was built by another version of this library");
}

TEST(plugins_that_nobody_registered_are_named_by_the_plan) {
  const std::string plan = normPlan();
  nvinfer1::IPluginRegistry& registry = *getPluginRegistry();
  nvinfer1::IPluginCreatorInterface& creator = *registry.getCreator("RmsNorm", "1", "tensorrt_node");
  CHECK(registry.deregisterCreator(creator));
  const auto error = CHECK_THROWS(test::load(plan), trt::TensorrtError);
  CHECK(registry.registerCreator(creator, "tensorrt_node"));
  CHECK_CONTAINS(std::string(error.what()), "Cannot find plugin: RmsNorm, version: 1, namespace:tensorrt_node");
}

TEST(plugins_that_cannot_launch_are_an_error_of_the_driver) {
  const auto engine = test::load(normPlan());
  trt::BoundExecution bound(engine, {{2, 8}, {8}, {2, 8}}, {.graph = false}, "test");
  simulatorFail("cuLaunchKernelEx", 1, 1, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  const auto error = CHECK_THROWS(bound.launch(), cuda::CudaError);
  CHECK_EQUAL(error.result(), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  CHECK_EQUAL(error.call(), "cuLaunchKernelEx");
  // And good again.
  run(bound);
}

TEST(plugins_whose_kernels_do_not_load_make_no_context) {
  const auto engine = test::load(normPlan());
  simulatorFail("cuModuleLoadData", 1, 1, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  const auto error = CHECK_THROWS(engine->createContext("test"), cuda::CudaError);
  CHECK_EQUAL(error.result(), CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  engine->destroyContext(engine->createContext("test"));
}

TEST(plugins_share_kernels_and_give_them_back) {
  const auto engine = test::load(normPlan());
  const auto loads = simulatorCalls("cuModuleLoadData");
  {
    const trt::BoundExecution first(engine, {{2, 8}, {8}, {2, 8}}, {}, "first");
    const auto once = simulatorCalls("cuModuleLoadData");
    CHECK(once > loads);
    const trt::BoundExecution second(engine, {{2, 8}, {8}, {2, 8}}, {}, "second");
    CHECK_EQUAL(simulatorCalls("cuModuleLoadData"), once);
  }
  CHECK_EQUAL(simulatorCalls("cuModuleUnload"), simulatorCalls("cuModuleLoadData"));
}
