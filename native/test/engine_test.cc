// Plans become engines that describe themselves, or errors that say what TensorRT logged.
#include "tensorrt/engine.h"

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "engines.h"
#include "tensorrt/error.h"
#include "tensorrt/execution.h"

namespace cuda = tensorrt_node::cuda;
namespace trt = tensorrt_node::tensorrt;

TEST(an_engine_describes_its_tensors) {
  const auto engine = test::load(test::productPlan());
  const trt::EngineInfo& info = engine->info();
  CHECK_EQUAL(info.name, "model");
  CHECK_EQUAL(info.profiles, 2);
  CHECK_EQUAL(info.layers, 2);
  CHECK(!info.refittable);
  CHECK_EQUAL(info.hardwareCompatibility, "none");
  CHECK_EQUAL(info.tensors.size(), 2U);
  const trt::TensorInfo& x = engine->inputs().at(0);
  CHECK_EQUAL(x.name, "x");
  CHECK(x.input && !x.host && !x.shapeTensor);
  CHECK_EQUAL(trt::shapeText(x.dims), "[-1, 4]");
  CHECK_EQUAL(trt::shapeText(x.profiles.at(1).dims.opt), "[16, 4]");
  CHECK(!x.profiles.at(1).values);
  const trt::TensorInfo& y = engine->outputs().at(0);
  CHECK(!y.input && y.profiles.empty());
  CHECK_CONTAINS(engine->layerInformation(), "product");
}

TEST(an_engine_tells_the_values_of_inputs_that_hold_shapes) {
  const auto engine = test::load(test::expandPlan());
  const auto found = std::find_if(engine->inputs().begin(), engine->inputs().end(),
                                  [](const trt::TensorInfo& each) { return each.name == "s"; });
  CHECK(found != engine->inputs().end());
  CHECK(found->host && found->shapeTensor);
  CHECK(found->type == nvinfer1::DataType::kINT64);
  CHECK_EQUAL(trt::shapeText(found->profiles.at(0).values->max), "[12, 3]");
}

TEST(bad_plans_end_in_what_TensorRT_logged) {
  const std::string plan = test::productPlan();
  for (const std::string& bad :
       {std::string("not a plan, whatever it says"), plan.substr(0, plan.size() / 2), std::string()}) {
    const auto error = CHECK_THROWS(test::load(bad), trt::TensorrtError);
    CHECK_EQUAL(error.call(), "deserializeCudaEngine");
    CHECK_CONTAINS(error.what(), "\n  ");
    CHECK_CONTAINS(error.hint(), "build it again");
  }
}

TEST(a_plan_of_another_version_is_refused) {
  const std::string plan = test::productPlan();
  simulatedTensorrtSet("version", "10.9.0");
  CHECK_CONTAINS(CHECK_THROWS(test::load(plan), trt::TensorrtError).what(), "TensorRT 10.9.0 refuses the plan");
}

TEST(contexts_that_TensorRT_does_not_make_are_errors) {
  const auto engine = test::load(test::productPlan());
  simulatedTensorrtSet("context", "fail");
  const auto error = CHECK_THROWS(engine->createContext("test"), trt::TensorrtError);
  CHECK_EQUAL(error.call(), "createExecutionContext");
}

TEST(weights_come_from_another_model) {
  test::TemporaryFolder folder;
  const std::string other = folder.write("other.onnx", test::productModel({-1, 4}, 2).bytes());
  const std::string plan = test::productPlan({"refit"});
  trt::EngineOptions options;
  options.refitFrom = other;
  const auto engine = test::load(plan, test::memory(), options);
  trt::RunQueue queue(engine, 1);
  test::AwaitedRun run({test::input<float>(*engine, {1, 4}, {1, 1, 1, 1})});
  queue.submit(run.run);
  CHECK_EQUAL(test::last<float>(run.result.get().at(0).block), 8.0F);
  CHECK_THROWS(engine->refit(folder.file("missing.onnx")), trt::TensorrtError);
}

TEST(sizes_of_tensors_are_checked) {
  CHECK_EQUAL(trt::tensorBytes(nvinfer1::DataType::kINT4, std::vector<std::int64_t>{3, 3}), 5U);
  CHECK_EQUAL(trt::tensorBytes(nvinfer1::DataType::kFLOAT, std::vector<std::int64_t>{}), 4U);
  CHECK_EQUAL(trt::tensorBytes(nvinfer1::DataType::kINT64, std::vector<std::int64_t>{1L << 62, 0}), 0U);
  CHECK_THROWS(trt::tensorBytes(nvinfer1::DataType::kINT64, std::vector<std::int64_t>{1L << 40, 1L << 40}),
               std::invalid_argument);
  CHECK_THROWS(trt::tensorBytes(nvinfer1::DataType::kINT8, std::vector<std::int64_t>{-1}), std::invalid_argument);
  CHECK_THROWS(trt::toDims(std::vector<std::int64_t>(9, 1)), std::invalid_argument);
}

TEST(contexts_do_not_go_while_the_engine_is_refitted) {
  const auto engine = test::load(test::productPlan({"refit"}));
  auto execution = std::make_unique<trt::Execution>(engine, "test");
  test::TemporaryFolder folder;
  // Whoever reads a pipe waits for its writer.
  const std::string model = folder.file("model.onnx");
  CHECK_EQUAL(::mkfifo(model.c_str(), 0600), 0);
  std::string failure;
  std::thread refitting([&] {
    try {
      engine->refit(model);
    } catch (const std::exception& error) {
      failure = error.what();
    }
  });
  std::ofstream writer(model, std::ios::binary);
  std::atomic<bool> gone = false;
  std::thread destroying([&] {
    execution.reset();
    gone = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  const bool early = gone;
  writer << test::productModel({-1, 4}, 3).bytes();
  writer.close();
  refitting.join();
  destroying.join();
  CHECK_EQUAL(failure, "");
  CHECK(!early);
}
