// The simulated TensorRT's parser and builder: refusals, progress, calibration, timing caches, faults.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <vector>

#include "simulated_engine.h"

// Calibrators and types of single layers are deprecated, and used all the same.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace cuda = tensorrt_node::cuda;
using test::OnnxModel;
using test::SimulatedBuild;

namespace {

struct Bench {
  std::shared_ptr<const cuda::Context> context = test::context();
  cuda::Current current{*context};
};

OnnxModel chain(int layers) {
  OnnxModel model;
  model.input("x", {4}).output("v" + std::to_string(layers));
  for (int i = 0; i < layers; ++i)
    model.node("Relu", {i == 0 ? "x" : "v" + std::to_string(i)}, {"v" + std::to_string(i + 1)});
  return model;
}

struct Monitor final : nvinfer1::IProgressMonitor {
  void phaseStart(char const* phase, char const* parent, int32_t) noexcept override {
    events += std::string(parent == nullptr ? "" : "  ") + "<" + phase + "> ";
  }
  bool stepComplete(char const*, int32_t step) noexcept override {
    events += std::to_string(step) + " ";
    return steps++ < allowed;
  }
  void phaseFinish(char const* phase) noexcept override { events += std::string("</") + phase + "> "; }

  std::string events;
  int steps = 0;
  int allowed = 1000;
};

struct Calibrator final : nvinfer1::IInt8EntropyCalibrator2 {
  int32_t getBatchSize() const noexcept override { return 1; }
  bool getBatch(void* bindings[], char const* names[], int32_t count) noexcept override {
    asked += std::string(names[0]) + " ";
    if (count != 1 || batches-- == 0) return false;
    bindings[0] = memory;
    return true;
  }
  void const* readCalibrationCache(std::size_t& length) noexcept override {
    length = cache.size();
    return cache.data();
  }
  void writeCalibrationCache(void const* text, std::size_t length) noexcept override {
    written.assign(static_cast<const char*>(text), length);
  }

  void* memory = nullptr;
  int batches = 0;
  std::string asked;
  std::string cache;
  std::string written;
};

// What is written after calibrating with batches of this byte.
std::string calibrationOf(unsigned char value, int batches) {
  test::DeviceArray<float> memory(4);
  const cuda::Stream stream(test::context(), "calibration");
  CHECK_EQUAL(cuMemsetD8Async(memory.address, value, memory.bytes(), stream.handle()), CUDA_SUCCESS);
  stream.synchronize();
  SimulatedBuild build(chain(1));
  Calibrator calibrator;
  calibrator.memory = memory.device();
  calibrator.batches = batches;
  build.config->setFlag(nvinfer1::BuilderFlag::kINT8);
  build.config->setInt8Calibrator(&calibrator);
  CHECK_EQUAL(build.plan().empty(), batches == 0);
  return calibrator.written;
}

// How a process that builds like this ends.
int statusOfBuild(const char* how) {
  const pid_t child = fork();
  if (child == 0) {
    // What it says is no output of the tests.
    if (freopen("/dev/null", "w", stderr) == nullptr) _exit(99);
    simulatedTensorrtSet("build", how);
    SimulatedBuild(chain(1)).plan();
    _exit(98);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST(models_that_the_simulated_parser_refuses) {
  struct Case {
    std::string model;
    nvonnxparser::ErrorCode code;
    int node;
    const char* text;
  };
  const std::vector<Case> cases{
      {"", nvonnxparser::ErrorCode::kMODEL_DESERIALIZE_FAILED, -1, "no graph"},
      {"garbage", nvonnxparser::ErrorCode::kMODEL_DESERIALIZE_FAILED, -1, "Failed to parse the ONNX model"},
      {chain(3).bytes().substr(0, 40), nvonnxparser::ErrorCode::kMODEL_DESERIALIZE_FAILED, -1, "ends early"},
      {OnnxModel().input("x", {1}).output("y").node("Relu", {"x"}, {"a"}).node("Magic", {"a"}, {"y"}, "wand").bytes(),
       nvonnxparser::ErrorCode::kUNSUPPORTED_NODE, 1, "No importer registered for op: Magic"},
      {OnnxModel().input("x", {1}).output("y").node("Relu", {"z"}, {"y"}).bytes(),
       nvonnxparser::ErrorCode::kINVALID_NODE, 0, "no tensor is named z"},
      {OnnxModel().input("x", {1}).output("y").node("Relu", {"x"}, {"z"}).bytes(),
       nvonnxparser::ErrorCode::kINVALID_GRAPH, -1, "no node makes the output y"},
      {OnnxModel().input("x", {2}).weights("w", {3}, {1, 2, 3}).output("y").node("Add", {"x", "w"}, {"y"}).bytes(),
       nvonnxparser::ErrorCode::kINVALID_NODE, 0, "broadcast dimensions must be conformable"},
  };
  Bench bench;
  for (const Case& each : cases) {
    SimulatedBuild build(each.model);
    CHECK(!build.parsed);
    CHECK_EQUAL(build.parser->getNbErrors(), 1);
    CHECK_CONTAINS(build.parser->getError(0)->desc(), each.text);
    CHECK_EQUAL(build.parser->getError(0)->code(), each.code);
    CHECK_EQUAL(build.parser->getError(0)->node(), each.node);
    CHECK_CONTAINS(build.logger.errors, each.text);
  }
}

TEST(every_cut_of_a_model_is_refused_or_read) {
  Bench bench;
  const std::string model = chain(2).bytes();
  for (std::size_t length = 0; length < model.size(); ++length) {
    SimulatedBuild build(model.substr(0, length));
    CHECK_EQUAL(build.parsed, build.parser->getNbErrors() == 0);
  }
}

TEST(a_dynamic_input_needs_a_profile) {
  Bench bench;
  SimulatedBuild build(OnnxModel().input("x", {-1, 3}).output("y").node("Relu", {"x"}, {"y"}));
  CHECK(build.plan().empty());
  CHECK_CONTAINS(build.logger.errors, "no optimization profile has been defined");
  build.addProfile("other", {{1}, {1}, {1}});
  CHECK(build.plan().empty());
  CHECK_CONTAINS(build.logger.errors, "Dynamic input x is missing dimensions in profile 0.");
}

TEST(the_progress_monitor_sees_nested_phases_and_may_end_the_build) {
  Bench bench;
  SimulatedBuild build(chain(2));
  simulatedTensorrtSet("buildSteps", "2");
  Monitor monitor;
  build.config->setProgressMonitor(&monitor);
  CHECK(!build.plan().empty());
  CHECK_EQUAL(monitor.events,
              "<Building engine>   <Computing profile costs> 0 1 0 </Computing profile costs>   <Timing graph nodes> "
              "0 1 1 </Timing graph nodes> </Building engine> ");
  monitor = {};
  monitor.allowed = 1;
  CHECK(build.plan().empty());
  CHECK_EQUAL(monitor.events,
              "<Building engine>   <Computing profile costs> 0 1 </Computing profile costs> "
              "</Building engine> ");
}

TEST(a_calibration_cache_depends_on_the_batches) {
  Bench bench;
  const std::string ones = calibrationOf(1, 2);
  CHECK_CONTAINS(ones, "TRT-100600-EntropyCalibration2\nx: ");
  CHECK_EQUAL(calibrationOf(1, 2), ones);
  CHECK(calibrationOf(1, 3) != ones);
  CHECK(calibrationOf(2, 2) != ones);
  CHECK_EQUAL(calibrationOf(1, 0), "");
}

TEST(a_calibration_cache_is_used_instead_of_batches) {
  Bench bench;
  for (const bool fits : {true, false}) {
    SimulatedBuild build(chain(1));
    Calibrator calibrator;
    calibrator.cache = std::string("TRT-100500-") + (fits ? "EntropyCalibration2" : "MinMaxCalibration") + "\nx: 0\n";
    build.config->setFlag(nvinfer1::BuilderFlag::kINT8);
    build.config->setInt8Calibrator(&calibrator);
    CHECK_EQUAL(build.plan().empty(), !fits);
    CHECK_EQUAL(calibrator.asked, fits ? "" : "x ");
  }
}

TEST(a_batch_that_is_still_on_its_way_is_a_race) {
  Bench bench;
  test::DeviceArray<float> memory(4);
  const cuda::Stream stream(bench.context, "calibration");
  CHECK_EQUAL(cuMemsetD8Async(memory.address, 1, memory.bytes(), stream.handle()), CUDA_SUCCESS);
  SimulatedBuild build(chain(1));
  Calibrator calibrator;
  calibrator.memory = memory.device();
  calibrator.batches = 1;
  build.config->setFlag(nvinfer1::BuilderFlag::kINT8);
  build.config->setInt8Calibrator(&calibrator);
  build.plan();
  CHECK_CONTAINS(test::takeOnlyFinding(SIMULATOR_RACE), "calibration");
  stream.synchronize();
}

TEST(a_timing_cache_saves_the_timing_of_layers) {
  Bench bench;
  std::string bytes;
  for (const auto& [layers, timed] : {std::pair(3, 3U), std::pair(3, 0U), std::pair(5, 2U)}) {
    SimulatedBuild build(chain(layers));
    const std::unique_ptr<nvinfer1::ITimingCache> cache(build.config->createTimingCache(bytes.data(), bytes.size()));
    CHECK(build.config->setTimingCache(*cache, false));
    const std::uint64_t before = simulatedTensorrtTimedLayers();
    CHECK(!build.plan().empty());
    CHECK_EQUAL(simulatedTensorrtTimedLayers() - before, timed);
    const std::unique_ptr<nvinfer1::IHostMemory> memory(cache->serialize());
    bytes.assign(static_cast<const char*>(memory->data()), memory->size());
  }
  SimulatedBuild build(chain(5));
  const std::unique_ptr<nvinfer1::ITimingCache> cache(build.config->createTimingCache(bytes.data(), bytes.size()));
  simulatedTensorrtSet("version", "10.7.0");
  CHECK(!build.config->setTimingCache(*cache, false));
  CHECK(build.config->setTimingCache(*cache, true));
  const std::unique_ptr<nvinfer1::ITimingCache> newer(build.config->createTimingCache(nullptr, 0));
  CHECK(!newer->combine(*cache, false));
  CHECK(newer->combine(*cache, true));
  bytes[bytes.size() / 2] ^= 1;
  CHECK(build.config->createTimingCache(bytes.data(), bytes.size()) == nullptr);
}

TEST(builds_fail_as_they_are_told_to) {
  Bench bench;
  simulatedTensorrtSet("build", "fail");
  SimulatedBuild failing(chain(1));
  CHECK(failing.plan().empty());
  CHECK_CONTAINS(failing.logger.errors, "Could not find any implementation");
  simulatedTensorrtSet("build", "out-of-memory");
  SimulatedBuild outOfMemory(chain(1));
  CHECK(outOfMemory.plan().empty());
  CHECK_CONTAINS(outOfMemory.logger.errors, "OutOfMemory");
  CHECK(simulatedTensorrtSet("build", "nicely") == 0);
}

TEST(builds_end_the_process_as_they_are_told_to) {
  Bench bench;
  for (const auto& [how, signal] : {std::pair("abort", SIGABRT), {"print-and-abort", SIGABRT}, {"segfault", SIGSEGV}}) {
    const int status = statusOfBuild(how);
    CHECK(WIFSIGNALED(status));
    CHECK_EQUAL(WTERMSIG(status), signal);
  }
  const int status = statusOfBuild("exit");
  CHECK(WIFEXITED(status));
  CHECK_EQUAL(WEXITSTATUS(status), 3);
}

TEST(layers_keep_the_types_they_are_given) {
  Bench bench;
  SimulatedBuild build(chain(1));
  nvinfer1::ILayer& layer = *build.network->getLayer(0);
  CHECK_EQUAL(std::string(layer.getName()), "node_of_v1");
  CHECK_EQUAL(layer.getType(), nvinfer1::LayerType::kACTIVATION);
  layer.setPrecision(nvinfer1::DataType::kHALF);
  build.config->setProfilingVerbosity(nvinfer1::ProfilingVerbosity::kDETAILED);
  test::SimulatedEngine simulated(build.plan());
  const std::unique_ptr<nvinfer1::IEngineInspector> inspector(simulated.engine->createEngineInspector());
  CHECK_CONTAINS(inspector->getLayerInformation(0, nvinfer1::LayerInformationFormat::kJSON), R"("Precision":"Half")");
}
