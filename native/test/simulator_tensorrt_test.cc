// The simulated TensorRT: engines that compute, and what it refuses as TensorRT does.
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "cuda/stream.h"
#include "simulated_engine.h"

// What TensorRT 10.6 has, newer headers call deprecated.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace cuda = tensorrt_node::cuda;
using test::DeviceArray;
using test::OnnxModel;
using test::OnnxType;
using test::SimulatedBuild;
using test::SimulatedEngine;

namespace {

struct Bench {
  std::shared_ptr<const cuda::Context> context = test::context();
  cuda::Current current{*context};
  cuda::Stream stream{context, "test"};
  ~Bench() { cuStreamSynchronize(stream.handle()); }
};

OnnxModel sumModel(const std::vector<std::int64_t>& dims) {
  return OnnxModel()
      .input("x", dims)
      .output("y")
      .weights("w", {3}, {10, 20, 30})
      .node("Add", {"x", "w"}, {"s"}, "sum")
      .node("Neg", {"s"}, {"y"}, "negative");
}

std::string planOf(const OnnxModel& model) {
  SimulatedBuild build(model);
  return build.plan();
}

template <typename Element>
std::string textOf(const std::vector<Element>& values) {
  std::string text;
  for (const Element each : values) text += (text.empty() ? "" : " ") + check::show(each);
  return text;
}

// Runs a model of one float input of three elements; the output.
std::string outputOf(const OnnxModel& model, const std::vector<float>& x) {
  Bench bench;
  SimulatedEngine simulated(planOf(model));
  CHECK(simulated.context != nullptr);
  DeviceArray<float> from(x.size());
  DeviceArray<float> to(x.size());
  from.put(x, bench.stream);
  simulated.context->setTensorAddress("x", from.device());
  simulated.context->setTensorAddress("y", to.device());
  CHECK(simulated.context->enqueueV3(test::cudaStream(bench.stream)));
  return textOf(to.get(bench.stream));
}

struct Allocator final : nvinfer1::IOutputAllocator {
  void* reallocateOutputAsync(char const*, void*, std::uint64_t bytes, std::uint64_t, cudaStream_t) override {
    asked = bytes;
    return memory;
  }
  void notifyShape(char const*, nvinfer1::Dims const& is) noexcept override { dims = is; }

  void* memory = nullptr;
  std::uint64_t asked = 0;
  nvinfer1::Dims dims{};
};

}  // namespace

TEST(simulated_engines_compute) {
  CHECK_EQUAL(outputOf(sumModel({3}), {1, 2, 3}), "-11 -22 -33");
  const auto unary = [](const char* op) { return OnnxModel().input("x", {3}).output("y").node(op, {"x"}, {"y"}); };
  CHECK_EQUAL(outputOf(unary("Identity"), {1.5F, -2, 3}), "1.5 -2 3");
  CHECK_EQUAL(outputOf(unary("Relu"), {1.5F, -2, 0}), "1.5 0 0");
  CHECK_EQUAL(outputOf(unary("Abs"), {1.5F, -2, 0}), "1.5 2 0");
  const auto binary = [](const char* op) {
    return OnnxModel().input("x", {3}).output("y").weights("w", {1}, {2}).node(op, {"x", "w"}, {"y"});
  };
  CHECK_EQUAL(outputOf(binary("Add"), {1, 2, 3}), "3 4 5");
  CHECK_EQUAL(outputOf(binary("Sub"), {1, 2, 3}), "-1 0 1");
  CHECK_EQUAL(outputOf(binary("Mul"), {1, 2, 3}), "2 4 6");
  CHECK_EQUAL(outputOf(binary("Div"), {1, 2, 3}), "0.5 1 1.5");
  const OnnxModel product = OnnxModel()
                                .input("x", {1, 3})
                                .output("y")
                                .weights("w", {3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9})
                                .node("MatMul", {"x", "w"}, {"y"});
  CHECK_EQUAL(outputOf(product, {1, 10, 100}), "741 852 963");
}

TEST(simulated_engines_have_dynamic_shapes_within_their_profile) {
  Bench bench;
  SimulatedBuild build(sumModel({-1, 3}));
  build.addProfile("x", {{1, 3}, {2, 3}, {4, 3}});
  SimulatedEngine simulated(build.plan());
  nvinfer1::IExecutionContext& context = *simulated.context;
  CHECK_EQUAL(simulated.engine->getTensorShape("y").d[0], -1);
  CHECK_EQUAL(simulated.engine->getProfileShape("x", 0, nvinfer1::OptProfileSelector::kMAX).d[0], 4);
  CHECK(!context.setInputShape("x", SimulatedBuild::dims({5, 3})));
  CHECK_CONTAINS(simulated.logger.errors, "Valid range for profile 0: [1,3]..[4,3]");
  CHECK(!context.setInputShape("x", SimulatedBuild::dims({2, 4})));
  CHECK_CONTAINS(simulated.logger.errors, "Static dimension mismatch");
  DeviceArray<float> from(6);
  DeviceArray<float> to(6);
  context.setTensorAddress("x", from.device());
  context.setTensorAddress("y", to.device());
  CHECK(!context.enqueueV3(test::cudaStream(bench.stream)));
  CHECK(context.setInputShape("x", SimulatedBuild::dims({2, 3})));
  CHECK_EQUAL(context.getTensorShape("y").d[0], 2);
  from.put({0, 0, 0, 1, 2, 3}, bench.stream);
  CHECK(context.enqueueV3(test::cudaStream(bench.stream)));
  CHECK_EQUAL(textOf(to.get(bench.stream)), "-10 -20 -30 -11 -22 -33");
}

TEST(a_shape_that_depends_on_data_comes_through_the_allocator) {
  Bench bench;
  SimulatedEngine simulated(planOf(OnnxModel().input("x", {2, 2}).output("y").node("NonZero", {"x"}, {"y"})));
  nvinfer1::IExecutionContext& context = *simulated.context;
  CHECK_EQUAL(context.getTensorShape("y").d[1], -1);
  CHECK_EQUAL(context.getMaxOutputSize("y"), 2 * 4 * 8);
  DeviceArray<float> from(4);
  DeviceArray<std::int64_t> to(8);
  Allocator allocator;
  allocator.memory = to.device();
  from.put({0, 5, 6, 0}, bench.stream);
  context.setTensorAddress("x", from.device());
  context.setOutputAllocator("y", &allocator);
  CHECK(context.enqueueV3(test::cudaStream(bench.stream)));
  CHECK_EQUAL(allocator.asked, 32U);
  CHECK_EQUAL(allocator.dims.d[0], 2);
  CHECK_EQUAL(allocator.dims.d[1], 2);
  const auto all = to.get(bench.stream);
  CHECK_EQUAL(textOf(std::vector<std::int64_t>(all.begin(), all.begin() + 4)), "0 1 1 0");
  allocator.memory = nullptr;
  CHECK(!context.enqueueV3(test::cudaStream(bench.stream)));
  bench.stream.synchronize();
}

TEST(an_input_that_holds_a_shape_is_in_host_memory) {
  Bench bench;
  SimulatedBuild build(OnnxModel()
                           .input("x", {2, 3})
                           .input("shape", {2}, OnnxType::int64)
                           .output("y")
                           .node("Reshape", {"x", "shape"}, {"y"}));
  CHECK(build.network->getInput(1)->isShapeTensor());
  CHECK(build.plan().empty());
  CHECK_CONTAINS(build.logger.errors, "no optimization profile has been defined");
  nvinfer1::IOptimizationProfile* profile = build.builder->createOptimizationProfile();
  const std::array<std::array<std::int32_t, 2>, 3> values{{{1, 1}, {3, 2}, {6, 6}}};
  for (int select = 0; select < 3; ++select)
    profile->setShapeValues("shape", static_cast<nvinfer1::OptProfileSelector>(select),
                            values[static_cast<std::size_t>(select)].data(), 2);
  build.config->addOptimizationProfile(profile);
  SimulatedEngine simulated(build.plan());
  CHECK_EQUAL(simulated.engine->getTensorLocation("shape"), nvinfer1::TensorLocation::kHOST);
  CHECK(simulated.engine->isShapeInferenceIO("shape"));
  CHECK_EQUAL(simulated.engine->getProfileTensorValues("shape", 0, nvinfer1::OptProfileSelector::kOPT)[1], 2);

  DeviceArray<float> from(6);
  DeviceArray<float> to(6);
  std::array<std::int64_t, 2> shape{3, 2};
  simulated.context->setTensorAddress("x", from.device());
  simulated.context->setTensorAddress("shape", shape.data());
  simulated.context->setTensorAddress("y", to.device());
  CHECK_EQUAL(simulated.context->inferShapes(0, nullptr), 0);
  CHECK_EQUAL(simulated.context->getTensorShape("y").d[0], 3);
  from.put({1, 2, 3, 4, 5, 6}, bench.stream);
  CHECK(simulated.context->enqueueV3(test::cudaStream(bench.stream)));
  CHECK_EQUAL(textOf(to.get(bench.stream)), "1 2 3 4 5 6");
  shape = {7, 1};
  CHECK(!simulated.context->enqueueV3(test::cudaStream(bench.stream)));
  shape = {4, 2};
  CHECK(!simulated.context->enqueueV3(test::cudaStream(bench.stream)));
}

TEST(an_execution_is_work_that_the_driver_sees) {
  Bench bench;
  const cuda::Stream other(bench.context, "other");
  SimulatedEngine simulated(planOf(sumModel({3})));
  DeviceArray<float> from(3);
  DeviceArray<float> to(3);
  simulated.context->setTensorAddress("x", from.device());
  simulated.context->setTensorAddress("y", to.device());
  from.put({1, 2, 3}, bench.stream);
  // Nothing orders the upload before this.
  CHECK(simulated.context->enqueueV3(test::cudaStream(other)));
  CHECK_CONTAINS(test::takeOnlyFinding(SIMULATOR_RACE), "an execution of Unnamed Network 0 on stream 2 reads");
  other.synchronize();
  bench.stream.synchronize();
  // Two executions of one context share its memory.
  CHECK(simulated.context->enqueueV3(test::cudaStream(bench.stream)));
  CHECK(simulated.context->enqueueV3(test::cudaStream(other)));
  CHECK(!test::takeFindings().empty());
  other.synchronize();
}

TEST(an_execution_is_captured_and_replayed) {
  Bench bench;
  SimulatedEngine simulated(planOf(sumModel({3})));
  DeviceArray<float> from(3);
  DeviceArray<float> to(3);
  simulated.context->setTensorAddress("x", from.device());
  simulated.context->setTensorAddress("y", to.device());
  CHECK_EQUAL(cuStreamBeginCapture(bench.stream.handle(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), CUDA_SUCCESS);
  CHECK(simulated.context->enqueueV3(test::cudaStream(bench.stream)));
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CHECK_EQUAL(cuStreamEndCapture(bench.stream.handle(), &graph), CUDA_SUCCESS);
  CHECK_EQUAL(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
  CHECK_EQUAL(cuGraphDestroy(graph), CUDA_SUCCESS);
  for (const float value : {1.0F, 2.0F}) {
    from.put({value, value, value}, bench.stream);
    CHECK_EQUAL(cuGraphLaunch(exec, bench.stream.handle()), CUDA_SUCCESS);
    const std::vector<float> results = to.get(bench.stream);
    CHECK_EQUAL(results[0], -10 - value);
  }
  // A replay that another stream's work gets in the way of.
  const cuda::Stream other(bench.context, "other");
  CHECK_EQUAL(cuGraphLaunch(exec, bench.stream.handle()), CUDA_SUCCESS);
  CHECK_EQUAL(cuMemsetD8Async(from.address, 0, from.bytes(), other.handle()), CUDA_SUCCESS);
  CHECK_CONTAINS(test::takeOnlyFinding(SIMULATOR_RACE), "an execution of Unnamed Network 0 in graph 1");
  other.synchronize();
  bench.stream.synchronize();
  cuGraphExecDestroy(exec);
}

TEST(shapes_that_depend_on_data_cannot_be_captured) {
  Bench bench;
  SimulatedEngine simulated(planOf(OnnxModel().input("x", {4}).output("y").node("NonZero", {"x"}, {"y"})));
  DeviceArray<float> from(4);
  DeviceArray<std::int64_t> to(4);
  Allocator allocator;
  allocator.memory = to.device();
  simulated.context->setTensorAddress("x", from.device());
  simulated.context->setOutputAllocator("y", &allocator);
  cuStreamBeginCapture(bench.stream.handle(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  CHECK(!simulated.context->enqueueV3(test::cudaStream(bench.stream)));
  CHECK_CONTAINS(simulated.logger.errors, "failure 900");
  CUgraph graph = nullptr;
  CHECK_EQUAL(cuStreamEndCapture(bench.stream.handle(), &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST(memory_that_the_user_manages_is_wanted_and_used) {
  Bench bench;
  SimulatedEngine simulated(planOf(sumModel({3})));
  const std::unique_ptr<nvinfer1::IExecutionContext> context(
      simulated.engine->createExecutionContext(nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED));
  DeviceArray<float> from(3);
  DeviceArray<float> to(3);
  from.put({1, 2, 3}, bench.stream);
  context->setTensorAddress("x", from.device());
  context->setTensorAddress("y", to.device());
  CHECK(!context->enqueueV3(test::cudaStream(bench.stream)));
  const auto bytes = static_cast<std::size_t>(simulated.engine->getDeviceMemorySizeV2());
  CHECK(bytes > 0);
  CHECK_EQUAL(context->updateDeviceMemorySizeForShapes(), bytes);
  DeviceArray<char> memory(bytes);
  context->setDeviceMemoryV2(memory.device(), static_cast<std::int64_t>(bytes) - 1);
  CHECK(!context->enqueueV3(test::cudaStream(bench.stream)));
  context->setDeviceMemoryV2(memory.device(), static_cast<std::int64_t>(bytes));
  CHECK(context->enqueueV3(test::cudaStream(bench.stream)));
  CHECK_EQUAL(textOf(to.get(bench.stream)), "-11 -22 -33");
}

TEST(plans_that_do_not_fit_are_refused) {
  Bench bench;
  const std::string plan = planOf(sumModel({3}));
  struct Case {
    const char* name;
    std::string plan;
    const char* version;
    const char* computeCapability;
    const char* error;
  };
  std::string flipped = plan;
  flipped[plan.size() / 2] ^= 1;
  const std::vector<Case> cases{
      {"whole", plan, "10.6.0", "9.0", ""},
      {"empty", "", "10.6.0", "9.0", "magicTagRead == kMAGIC_TAG"},
      {"something else", std::string(100, 'x'), "10.6.0", "9.0", "Serialization assertion"},
      {"cut", plan.substr(0, plan.size() - 1), "10.6.0", "9.0", "truncated"},
      {"longer", plan + "x", "10.6.0", "9.0", "corrupt"},
      {"one bit", flipped, "10.6.0", "9.0", "corrupt"},
      {"another version", plan, "10.7.0", "9.0", "Current Version: 100700, Serialized Engine Version: 100600"},
      {"another GPU", plan, "10.6.0", "8.6", "expecting compute 8.6 got compute 9.0"},
  };
  for (const Case& each : cases) {
    simulatedTensorrtReset();
    CHECK(simulatedTensorrtSet("version", each.version) == 1);
    CHECK(simulatedTensorrtSet("computeCapability", each.computeCapability) == 1);
    SimulatedEngine simulated(each.plan);
    CHECK_EQUAL(each.name + std::string(simulated.engine != nullptr ? " loads" : " is refused"),
                each.name + std::string(*each.error == '\0' ? " loads" : " is refused"));
    CHECK_CONTAINS(simulated.logger.errors, each.error);
  }
}

TEST(plans_that_are_compatible_load_elsewhere) {
  Bench bench;
  SimulatedBuild build(sumModel({3}));
  build.config->setHardwareCompatibilityLevel(nvinfer1::HardwareCompatibilityLevel::kAMPERE_PLUS);
  build.config->setFlag(nvinfer1::BuilderFlag::kVERSION_COMPATIBLE);
  const std::string plan = build.plan();
  simulatedTensorrtSet("version", "10.9.0");
  simulatedTensorrtSet("computeCapability", "8.6");
  SimulatedEngine withHostCode(plan);
  CHECK(withHostCode.engine == nullptr);
  CHECK_CONTAINS(withHostCode.logger.errors, "setEngineHostCodeAllowed");
  withHostCode.runtime->setEngineHostCodeAllowed(true);
  withHostCode.engine.reset(withHostCode.runtime->deserializeCudaEngine(plan.data(), plan.size()));
  CHECK(withHostCode.engine != nullptr);
}

TEST(plans_without_weights_are_refitted) {
  Bench bench;
  SimulatedBuild build(sumModel({3}));
  build.config->setFlag(nvinfer1::BuilderFlag::kSTRIP_PLAN);
  SimulatedEngine simulated(build.plan());
  CHECK(!simulated.engine->isRefittable());
  CHECK(simulated.context == nullptr);
  const std::unique_ptr<nvinfer1::IRefitter> refitter(static_cast<nvinfer1::IRefitter*>(
      createInferRefitter_INTERNAL(simulated.engine.get(), &simulated.logger, NV_TENSORRT_VERSION)));
  CHECK_EQUAL(refitter->getMissingWeights(0, nullptr), 1);
  CHECK(!refitter->refitCudaEngine());
  const std::unique_ptr<nvonnxparser::IParserRefitter> parser(static_cast<nvonnxparser::IParserRefitter*>(
      createNvOnnxParserRefitter_INTERNAL(refitter.get(), &simulated.logger, NV_ONNX_PARSER_VERSION)));
  const std::string model = sumModel({3}).bytes();
  CHECK(parser->refitFromBytes(model.data(), model.size()));
  CHECK(refitter->refitCudaEngine());
  const std::unique_ptr<nvinfer1::IExecutionContext> context(simulated.engine->createExecutionContext());
  CHECK(context != nullptr);
}

TEST(the_inspector_answers_in_json) {
  Bench bench;
  SimulatedBuild build(sumModel({3}));
  build.config->setProfilingVerbosity(nvinfer1::ProfilingVerbosity::kDETAILED);
  build.config->setBuilderOptimizationLevel(5);
  SimulatedEngine simulated(build.plan());
  const std::unique_ptr<nvinfer1::IEngineInspector> inspector(simulated.engine->createEngineInspector());
  const std::string text = inspector->getEngineInformation(nvinfer1::LayerInformationFormat::kJSON);
  CHECK_CONTAINS(text, R"({"Layers":[{"Name":"sum","LayerType":"Add","Inputs":[{"Name":"x")");
  CHECK_CONTAINS(text, R"("Bindings":["x","y"])");
  CHECK_CONTAINS(text, R"("OptimizationLevel":5)");
}

TEST(weights_and_contexts_take_device_memory) {
  Bench bench;
  const std::string plan = planOf(sumModel({3}));
  for (const std::uint64_t nth : {1U, 2U}) {
    simulatorFail("cuMemAlloc_v2", nth, 1, CUDA_ERROR_OUT_OF_MEMORY);
    SimulatedEngine simulated(plan);
    CHECK_EQUAL(simulated.engine == nullptr, nth == 1);
    CHECK(simulated.context == nullptr);
    CHECK_CONTAINS(simulated.logger.errors, "OutOfMemory");
  }
}
