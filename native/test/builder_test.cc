// Builds on the simulated TensorRT: what comes out, and what every wrong request ends in.
#include "tensorrt/builder.h"

#include <atomic>
#include <thread>

#include "build.h"
#include "files/error.h"
#include "tensorrt/error.h"

namespace trt = tensorrt_node::tensorrt;
using test::BuildRun;
using test::OnnxModel;
using test::productModel;

namespace {

trt::RequestedRange range(std::vector<std::int64_t> min, std::vector<std::int64_t> opt, std::vector<std::int64_t> max,
                          bool values = false) {
  return {{std::move(min), std::move(opt), std::move(max)}, values};
}

// The message of a build that fails, and leaves no plan.
template <typename Error = trt::TensorrtError>
std::string failure(BuildRun& build) {
  const Error error = CHECK_THROWS(build.run(), Error);
  CHECK(!build.folder.has("model.plan"));
  return error.what();
}

// y = reshape(x, s): the content of s decides a shape.
OnnxModel reshapeModel() {
  return OnnxModel()
      .input("x", {-1, 4})
      .input("s", {2}, test::OnnxType::int64)
      .output("y")
      .node("Reshape", {"x", "s"}, {"y"}, "reshape");
}

}  // namespace

TEST(a_build_writes_the_plan_and_says_what_it_is) {
  BuildRun build(productModel({2, 4}));
  const trt::BuildResult result = build.run();
  CHECK_EQUAL(result.layers, 2);
  CHECK_EQUAL(result.planBytes, build.folder.read("model.plan").size());
  CHECK(result.planBytes > 0);
  CHECK(!result.timingCacheUsed);
  CHECK(result.unmatched.empty());
}

TEST(a_build_reports_phases_and_steps) {
  BuildRun build(productModel({2, 4}));
  build.run();
  using Event = trt::Progress::Event;
  const auto events = build.listener.events();
  CHECK(!events.empty());
  CHECK_EQUAL(events.front().event, Event::start);
  CHECK(events.front().parent.empty());
  CHECK_EQUAL(events.back().event, Event::finish);
  CHECK_EQUAL(events.back().phase, events.front().phase);
  bool nested = false;
  for (const trt::Progress& each : events) {
    if (each.event == Event::start) CHECK(each.steps > 0);
    if (each.event == Event::start && each.parent == events.front().phase) nested = true;
  }
  CHECK(nested);
}

TEST(a_model_that_the_parser_refuses_is_explained_node_by_node) {
  BuildRun build(OnnxModel().input("x", {2}).output("y").node("Frobnicate", {"x"}, {"y"}, "frob"));
  const std::string message = failure(build);
  CHECK_CONTAINS(message, "model.onnx");
  CHECK_CONTAINS(message, "unsupported node at node 0 'frob' (Frobnicate): ");
}

TEST(a_file_that_is_no_model_is_refused) {
  BuildRun build(std::string("this is no protobuf"));
  CHECK_CONTAINS(failure(build), "not a readable ONNX model");
}

TEST(a_parser_that_cannot_be_made_is_an_error) {
  simulatedTensorrtSet("noParser", "1");
  BuildRun build(productModel({2, 4}));
  CHECK_CONTAINS(failure(build), "createParser failed");
}

TEST(profiles_that_do_not_fit_the_network_name_input_and_profile) {
  const std::vector<std::pair<std::vector<trt::RequestedProfile>, std::string>> cases = {
      {{}, "input 'x' [-1, 4] is dynamic, and there is no optimization profile"},
      {{{}}, "optimization profile 0 lacks input 'x' [-1, 4], which is dynamic"},
      {{{{"x", range({1, 4}, {2, 4}, {8, 4})}}, {}}, "optimization profile 1 lacks input 'x' [-1, 4]"},
      {{{{"z", range({1, 4}, {2, 4}, {8, 4})}}},
       "optimization profile 0: the model has no input 'z'; it has 'x' [-1, 4]"},
      {{{{"x", range({1}, {2}, {8})}}}, "optimization profile 0: input 'x' [-1, 4] does not take min [1]"},
      {{{{"x", range({1, 5}, {2, 5}, {8, 5})}}}, "input 'x' [-1, 4] does not take min [1, 5]"},
      {{{{"x", range({3, 4}, {2, 4}, {8, 4})}}}, "min [3, 4] is not below opt [2, 4]"},
      {{{{"x", range({1, 4}, {9, 4}, {8, 4})}}}, "opt [9, 4] is not below max [8, 4]"},
      {{{{"x", range({1, 4}, {2, 4}, {8, 4}, true)}}}, "its content decides no shape"},
  };
  for (const auto& [profiles, expected] : cases) {
    BuildRun build(productModel({-1, 4}));
    build.request.profiles = profiles;
    CHECK_CONTAINS(failure(build), expected);
  }
}

TEST(dynamic_models_build_with_several_profiles) {
  BuildRun build(productModel({-1, 4}));
  build.request.profiles = {{{"x", range({1, 4}, {2, 4}, {8, 4})}}, {{"x", range({8, 4}, {16, 4}, {64, 4})}}};
  CHECK(build.run().planBytes > 0);
}

TEST(an_input_that_holds_a_shape_takes_values) {
  for (const char* version : {"10.6.0", "10.11.0"}) {
    simulatedTensorrtSet("version", version);
    BuildRun build(reshapeModel());
    build.request.profiles = {{{"x", range({1, 4}, {2, 4}, {8, 4})}, {"s", range({1, 1}, {2, 4}, {8, 32}, true)}}};
    CHECK(build.run().planBytes > 0);
  }
}

TEST(an_input_that_holds_a_shape_is_not_given_a_shape) {
  BuildRun build(reshapeModel());
  build.request.profiles = {{{"x", range({1, 4}, {2, 4}, {8, 4})}, {"s", range({2}, {2}, {2})}}};
  CHECK_CONTAINS(failure(build), "input 's' [2]: its content decides shapes, so the profile must give its values");
}

TEST(wide_shape_values_need_a_newer_tensorrt) {
  BuildRun build(reshapeModel());
  build.request.profiles = {{{"x", range({1, 4}, {2, 4}, {8, 4})}, {"s", range({1, 1}, {2, 4}, {8, 1LL << 40}, true)}}};
  CHECK_CONTAINS(failure<trt::UnsupportedError>(build), "1099511627776 needs TensorRT 10.11 or later; this is 10.6.0");
}

TEST(options_that_this_tensorrt_lacks_name_the_version_that_has_them) {
  struct Case {
    void (*ask)(trt::BuildRequest&);
    const char* expected;
  };
  const Case cases[] = {
      {[](trt::BuildRequest& request) { request.tilingOptimizationLevel = "fast"; },
       "tiling optimization level 'fast' needs TensorRT 10.8 or later; this is 10.6.0"},
      {[](trt::BuildRequest& request) { request.hardwareCompatibility = "same-compute-capability"; },
       "hardware compatibility 'same-compute-capability' needs TensorRT 10.9 or later; this is 10.6.0"},
      {[](trt::BuildRequest& request) { request.flags = {"fp64"}; }, "flag 'fp64' is not known"},
      {[](trt::BuildRequest& request) { request.tacticSources = {"cutlass"}; }, "tactic source 'cutlass' is not known"},
      {[](trt::BuildRequest& request) { request.profilingVerbosity = "loud"; },
       "profiling verbosity 'loud' is not known"},
  };
  for (const Case& each : cases) {
    BuildRun build(productModel({2, 4}));
    each.ask(build.request);
    CHECK_CONTAINS(failure<trt::UnsupportedError>(build), each.expected);
  }
}

TEST(every_option_is_taken_by_a_tensorrt_that_has_it) {
  simulatedTensorrtSet("version", "10.9.0");
  BuildRun build(productModel({2, 4}));
  trt::BuildRequest& request = build.request;
  request.flags = {"fp16", "tf32", "sparse-weights", "refit", "prefer-precision-constraints", "disable-timing-cache"};
  request.tacticSources = {"cublas", "cublas-lt", "cudnn", "edge-mask-convolutions", "jit-convolutions"};
  request.optimizationLevel = 5;
  request.workspaceBytes = 1 << 20;
  request.hardwareCompatibility = "same-compute-capability";
  request.profilingVerbosity = "detailed";
  request.maxAuxStreams = 1;
  request.averageTimingIterations = 2;
  request.tilingOptimizationLevel = "full";
  CHECK(build.run().planBytes > 0);
}

TEST(overrides_report_patterns_that_match_no_layer) {
  BuildRun build(productModel({2, 4}));
  build.request.flags = {"fp16", "obey-precision-constraints"};
  build.request.layers = {{"pro*", nvinfer1::DataType::kFLOAT, {}},
                          {"/encoder/*", nvinfer1::DataType::kHALF, {}},
                          {"re?u", {}, nvinfer1::DataType::kHALF}};
  const trt::BuildResult result = build.run();
  CHECK_EQUAL(result.unmatched.size(), 1U);
  CHECK_EQUAL(result.unmatched[0], "/encoder/*");
}

TEST(overrides_are_refused_for_strongly_typed_networks) {
  BuildRun build(productModel({2, 4}));
  build.request.stronglyTyped = true;
  build.request.layers = {{"product", nvinfer1::DataType::kHALF, {}}};
  CHECK_CONTAINS(failure<trt::UnsupportedError>(build), "strongly typed network (pattern 'product')");
}

TEST(a_failed_build_says_what_tensorrt_logged) {
  simulatedTensorrtSet("build", "fail");
  BuildRun build(productModel({2, 4}));
  const auto error = CHECK_THROWS(build.run(), trt::TensorrtError);
  CHECK_EQUAL(error.call(), "IBuilder::buildSerializedNetwork");
  CHECK_CONTAINS(error.what(), "Could not find any implementation");
  CHECK_CONTAINS(error.hint(), "workspace");
}

TEST(a_build_out_of_memory_says_so) {
  simulatedTensorrtSet("build", "out-of-memory");
  BuildRun build(productModel({2, 4}));
  const auto error = CHECK_THROWS(build.run(), trt::TensorrtError);
  CHECK_CONTAINS(error.hint(), "memory");
}

TEST(a_cancelled_build_stops_at_its_next_step) {
  simulatedTensorrtSet("buildSteps", "1000000");
  simulatedTensorrtSet("buildStepMs", "1");
  BuildRun build(productModel({2, 4}));
  std::atomic<int> steps = 0;
  build.listener.onProgress = [&](const trt::Progress& progress) {
    if (progress.event == trt::Progress::Event::step) ++steps;
  };
  std::thread canceller([&] {
    while (steps < 3) std::this_thread::yield();
    build.control.cancel();
  });
  failure<trt::AbortedError>(build);
  canceller.join();
  CHECK(steps < 1000);
}

TEST(a_build_cancelled_before_it_begins_does_nothing) {
  BuildRun build(productModel({2, 4}));
  build.control.cancel();
  failure<trt::AbortedError>(build);
  CHECK(build.listener.events().empty());
}

TEST(a_listener_that_throws_ends_the_build_with_its_error) {
  BuildRun build(productModel({2, 4}));
  build.listener.onProgress = [](const trt::Progress&) { throw std::length_error("no room for progress"); };
  CHECK_EQUAL(failure<std::length_error>(build), "no room for progress");
}

TEST(a_plan_that_cannot_be_written_is_an_error_and_leaves_no_half) {
  BuildRun build(productModel({2, 4}));
  build.request.plan = build.folder.file("no/such/folder/model.plan");
  const auto error = CHECK_THROWS(build.run(), tensorrt_node::files::FileError);
  CHECK_EQUAL(error.codeName(), "ENOENT");
  CHECK_EQUAL(error.call(), "open");
}
