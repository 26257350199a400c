// Refitting engines from ONNX files: what is refused, and why.
#include "tensorrt/refitter.h"

#include <memory>

#include "build.h"
#include "tensorrt/error.h"
#include "tensorrt/logger.h"

namespace trt = tensorrt_node::tensorrt;
using test::productModel;

namespace {

// An engine built with these flags from weights of 1, and the runtime it needs.
class BuiltEngine {
 public:
  explicit BuiltEngine(std::vector<std::string> flags) {
    test::BuildRun build(productModel({2, 4}));
    build.request.flags = std::move(flags);
    build.run();
    const std::string plan = build.folder.read("model.plan");
    nvinfer1::ILogger& logger = trt::Logger::instance();
    auto* const create = libraries.infer<decltype(createInferRuntime_INTERNAL)>("createInferRuntime_INTERNAL");
    runtime.reset(static_cast<nvinfer1::IRuntime*>(create(&logger, NV_TENSORRT_VERSION)));
    engine.reset(runtime->deserializeCudaEngine(plan.data(), plan.size()));
  }

  void refit(const std::string& model) {
    const test::TemporaryFolder folder;
    trt::refitFromOnnx(libraries, *engine, folder.write("new.onnx", model));
  }

 private:
  const std::shared_ptr<const tensorrt_node::cuda::Context> context = test::context();
  const tensorrt_node::cuda::Current current{*context};
  const trt::Libraries libraries = test::libraries();
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
};

// As productModel(), without its weights: they are an input.
test::OnnxModel weightless() {
  return test::OnnxModel()
      .input("x", {2, 4})
      .input("w", {4, 3})
      .output("y")
      .node("MatMul", {"x", "w"}, {"m"}, "product")
      .node("Relu", {"m"}, {"y"}, "relu");
}

}  // namespace

TEST(refittable_engines_take_weights_of_the_same_model) {
  BuiltEngine engine({"refit"});
  engine.refit(productModel({2, 4}, 2).bytes());
  engine.refit(productModel({2, 4}, 3).bytes());
}

TEST(stripped_engines_take_their_weights) {
  BuiltEngine({"refit", "strip-plan"}).refit(productModel({2, 4}).bytes());
  BuiltEngine({"refit-identical", "strip-plan"}).refit(productModel({2, 4}).bytes());
}

TEST(engines_that_were_not_built_for_it_are_not_refitted) {
  const auto error = CHECK_THROWS(BuiltEngine({}).refit(productModel({2, 4}).bytes()), trt::TensorrtError);
  CHECK_CONTAINS(error.what(), "built without 'refit'");
}

TEST(refits_from_what_is_no_model_say_so) {
  BuiltEngine engine({"refit"});
  const auto error = CHECK_THROWS(engine.refit("this is no protobuf"), trt::TensorrtError);
  CHECK_CONTAINS(error.what(), "new.onnx: TensorRT's ONNX parser refuses it");
}

TEST(stripped_engines_say_which_weights_a_model_lacks) {
  BuiltEngine engine({"refit", "strip-plan"});
  const auto error = CHECK_THROWS(engine.refit(weightless().bytes()), trt::TensorrtError);
  CHECK_CONTAINS(error.what(), "w");
}

TEST(refits_that_tensorrt_refuses_say_what_it_logged) {
  BuiltEngine engine({"refit"});
  simulatedTensorrtSet("refit", "fail");
  const auto error = CHECK_THROWS(engine.refit(productModel({2, 4}, 2).bytes()), trt::TensorrtError);
  CHECK_EQUAL(error.call(), "IRefitter::refitCudaEngine");
  CHECK_CONTAINS(error.what(), "as the settings wish");
}
