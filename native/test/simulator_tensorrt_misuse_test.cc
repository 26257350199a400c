// What the simulated TensorRT ends the process for, as the real one would crash: each in a process of its own.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <string>
#include <utility>

#include "simulated_engine.h"

namespace cuda = tensorrt_node::cuda;
using test::OnnxModel;
using test::SimulatedBuild;
using test::SimulatedEngine;

namespace {

OnnxModel reluModel() {
  return OnnxModel().input("x", {4}).output("y").node("Relu", {"x"}, {"y"});
}

// What a process that does this, with a context current, says before it aborts.
std::string lastWords(const std::function<void()>& misuse) {
  std::array<int, 2> ends{};
  CHECK_EQUAL(pipe(ends.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    misuse();
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  std::array<char, 256> part{};
  for (ssize_t count = 0; (count = read(ends[0], part.data(), part.size())) > 0;)
    text.append(part.data(), static_cast<std::size_t>(count));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK_EQUAL(WTERMSIG(status), SIGABRT);
  return text;
}

}  // namespace

TEST(a_method_that_is_not_simulated_is_named) {
  const auto context = test::context();
  const cuda::Current current(*context);
  CHECK_CONTAINS(lastWords([] { SimulatedBuild(reluModel()).network->addLoop(); }),
                 "INetworkDefinition::addLoop is not simulated");
}

TEST(a_method_that_the_version_does_not_have_is_named) {
  const auto context = test::context();
  const cuda::Current current(*context);
  const std::int64_t value = 1;
  const auto call = [&] {
    SimulatedBuild build(reluModel());
    static_cast<void>(build.builder->createOptimizationProfile()->setShapeValuesV2(
        "x", nvinfer1::OptProfileSelector::kMIN, &value, 1));
  };
  CHECK_CONTAINS(lastWords(call),
                 "TensorRT 10.6.0 has no IOptimizationProfile::setShapeValuesV2, which came with 10.11");
  simulatedTensorrtSet("version", "10.11.0");
  call();
}

TEST(an_engine_must_outlive_its_contexts) {
  const auto context = test::context();
  const cuda::Current current(*context);
  SimulatedEngine simulated(SimulatedBuild(reluModel()).plan());
  CHECK_CONTAINS(lastWords([&] { simulated.engine.reset(); }), "an engine was destroyed before its execution contexts");
}

TEST(nothing_is_made_without_a_cuda_context) {
  test::RecordingLogger logger;
  CHECK_CONTAINS(lastWords([&] { createInferBuilder_INTERNAL(&logger, NV_TENSORRT_VERSION); }),
                 "createInferBuilder_INTERNAL without a current CUDA context");
  CHECK_CONTAINS(lastWords([&] { createInferRuntime_INTERNAL(&logger, NV_TENSORRT_VERSION); }),
                 "createInferRuntime_INTERNAL without a current CUDA context");
}

TEST(another_major_version_makes_nothing) {
  const auto context = test::context();
  const cuda::Current current(*context);
  test::RecordingLogger logger;
  simulatedTensorrtSet("version", "11.0.0");
  CHECK_EQUAL(getInferLibVersion(), 110000);
  CHECK(createInferBuilder_INTERNAL(&logger, NV_TENSORRT_VERSION) == nullptr);
  CHECK(createInferRuntime_INTERNAL(&logger, NV_TENSORRT_VERSION) == nullptr);
}

TEST(settings_that_make_no_sense_are_refused) {
  for (const auto& [name, value] : {std::pair("version", "ten"),
                                    {"version", "10.6"},
                                    {"version", ""},
                                    {"layerMs", "-1"},
                                    {"layerMs", ""},
                                    {"build", "well"},
                                    {"parse", "perhaps"},
                                    {"noParser", "yes"},
                                    {"unknown", "1"},
                                    {"computeCapability", "9"}})
    CHECK_EQUAL(name + std::to_string(simulatedTensorrtSet(name, value)), name + std::string("0"));
}
