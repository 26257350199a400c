// Times of layers: told by name and run, on a context of their own.
#include "tensorrt/layer_run.h"

#include <numeric>

#include "engines.h"
#include "tensorrt/error.h"
#include "tensorrt/layer_profiler.h"

namespace trt = tensorrt_node::tensorrt;

namespace {

float sum(const std::vector<float>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0F);
}

trt::LayerProfile profiled(const std::string& plan, std::vector<trt::RunInput> (*inputs)(const trt::Engine&),
                           std::size_t runs = 3) {
  const auto engine = test::load(plan);
  return trt::profileLayers(engine, inputs(*engine), {.runs = runs, .warmUp = 1}, {});
}

std::vector<trt::RunInput> rows(const trt::Engine& engine) {
  return {test::input<float>(engine, {2, 4}, {1, 1, 1, 1, 2, 2, 2, 2})};
}

}  // namespace

TEST(a_profiler_keeps_layers_by_name_and_run) {
  trt::LayerProfiler profiler;
  // Of runs that nobody wants.
  profiler.reportLayerTime("a", 5);
  profiler.beginRun();
  profiler.reportLayerTime("a", 1);
  profiler.reportLayerTime("b", 2);
  profiler.reportLayerTime("a", 3);
  profiler.beginRun();
  profiler.reportLayerTime("b", 4);
  profiler.reportLayerTime("c", 6);
  const auto layers = profiler.take();
  CHECK_EQUAL(layers.size(), 3U);
  CHECK_EQUAL(layers[0].name, "a");
  CHECK(layers[0].milliseconds == std::vector<float>({4, 0}));
  CHECK_EQUAL(layers[1].name, "b");
  CHECK(layers[1].milliseconds == std::vector<float>({2, 4}));
  CHECK_EQUAL(layers[2].name, "c");
  CHECK(layers[2].milliseconds == std::vector<float>({0, 6}));
  CHECK(profiler.take().empty());
}

TEST(layers_of_an_engine_of_several_profiles_are_told_whole) {
  const auto engine = test::load(test::productPlan());
  CHECK_EQUAL(engine->info().profiles, 2);
  CHECK_CONTAINS(profiled(test::productPlan(), rows).information, "Simulated");
}

TEST(layers_of_an_engine_have_times_within_those_of_its_runs) {
  simulatedTensorrtSet("executeNs", "2000000");
  const trt::LayerProfile profile = profiled(test::productPlan(), rows);
  CHECK_EQUAL(profile.layers.size(), 2U);
  CHECK_EQUAL(profile.layers[0].name, "product");
  CHECK_EQUAL(profile.runs.size(), 3U);
  CHECK_EQUAL(profile.profiledRuns.size(), 3U);
  float layers = 0;
  for (const trt::LayerTimes& layer : profile.layers) {
    CHECK_EQUAL(layer.milliseconds.size(), 3U);
    for (const float each : layer.milliseconds) CHECK(each > 0);
    layers += sum(layer.milliseconds);
  }
  CHECK(layers >= 6);
  CHECK(layers <= sum(profile.profiledRuns));
  CHECK_CONTAINS(profile.information, "product");
}

TEST(layers_have_times_where_outputs_depend_on_data_or_the_host_decides_shapes) {
  const trt::LayerProfile found = profiled(test::nonZeroPlan(), [](const trt::Engine& engine) {
    return std::vector{test::input<float>(engine, {8}, {1, 0, 0, 1, 0, 0, 0, 1})};
  });
  CHECK_EQUAL(found.layers.at(0).name, "nonzero");
  const trt::LayerProfile expanded = profiled(test::expandPlan(), [](const trt::Engine& engine) {
    auto x = test::input<float>(engine, {1, 3}, {1, 2, 3});
    auto shape = test::input<std::int64_t>(engine, {2}, {4, 3});
    return engine.inputs().front().name == "x" ? std::vector{x, shape} : std::vector{shape, x};
  });
  CHECK_EQUAL(expanded.layers.at(0).name, "expand");
}

TEST(other_runs_of_the_engine_are_not_profiled) {
  const auto engine = test::load(test::productPlan());
  trt::RunQueue queue(engine, 1);
  const auto inputs = rows(*engine);
  CHECK_EQUAL(trt::profileLayers(engine, inputs, {.runs = 2}, {}).layers.size(), 2U);
  test::AwaitedRun run(inputs);
  queue.submit(run.run);
  CHECK_EQUAL(test::last<float>(run.result.get().at(0).block), 8.0F);
}

TEST(profiling_layers_stops_between_runs) {
  const auto engine = test::load(test::productPlan());
  std::stop_source stop;
  stop.request_stop();
  CHECK_THROWS(trt::profileLayers(engine, rows(*engine), {.runs = 100}, stop.get_token()), trt::AbortedError);
}

TEST(layers_of_an_engine_that_does_not_run_are_errors) {
  const auto engine = test::load(test::productPlan());
  const auto inputs = rows(*engine);
  simulatedTensorrtSet("enqueue", "fail");
  const auto error = CHECK_THROWS(trt::profileLayers(engine, inputs, {}, {}), trt::TensorrtError);
  CHECK_EQUAL(error.call(), "enqueueV3");
}
