// Each driver call fails once, at every point from loading a plan to freeing all: an error comes out, or none is
// needed, and nothing leaks or races. Then the driver goes away under everything.
#include <optional>

#include "engines.h"
#include "tensorrt/bound_execution.h"
#include "tensorrt/error.h"

namespace cuda = tensorrt_node::cuda;
namespace trt = tensorrt_node::tensorrt;

namespace {

std::vector<float> ones(std::size_t count) {
  return std::vector<float>(count, 1);
}

void runThroughEverything(const std::string& product, const std::string& nonZero) {
  const auto gpu = test::memory();
  const auto engine = test::load(product, gpu);
  trt::BoundExecution bound(engine, {{2, 4}}, {.graph = true, .timing = true}, "bound");
  trt::RunQueue queue(engine, 1);
  for (int i = 0; i < 2; ++i) {
    bound.launch();
    test::AwaitedRun run({test::input<float>(*engine, {i + 1, 4}, ones(4 * (static_cast<std::size_t>(i) + 1)))});
    queue.submit(run.run);
    run.result.get();
    bound.wait();
    bound.gpuMilliseconds();
  }
  const auto places = test::load(nonZero, gpu);
  trt::RunQueue finders(places, 1);
  test::AwaitedRun found({test::input<float>(*places, {8}, ones(8))});
  finders.submit(found.run);
  found.result.get();
}

}  // namespace

TEST(a_failure_at_any_call_of_an_engine_leaks_nothing) {
  const std::string product = test::productPlan();
  const std::string nonZero = test::nonZeroPlan();
  simulatorReset();
  runThroughEverything(product, nonZero);
  test::expectNoFindings();
  const std::uint64_t calls = simulatorCalls(nullptr);
  CHECK(calls > 100);
  std::uint64_t errors = 0;
  for (std::uint64_t nth = 1; nth <= calls; ++nth) {
    for (const CUresult code : {CUDA_ERROR_LAUNCH_FAILED, CUDA_ERROR_OUT_OF_MEMORY}) {
      simulatorReset();
      test::slowDown(0, 10'000, nth);
      simulatorFail(nullptr, nth, 1, code);
      try {
        runThroughEverything(product, nonZero);
      } catch (const cuda::CudaError& error) {
        ++errors;
        // TensorRT calls every failed allocation a lack of memory.
        if (error.call().starts_with("cu")) CHECK_EQUAL(error.result(), code);
      } catch (const trt::TensorrtError&) {
        // TensorRT met it first.
        ++errors;
      }
      simulatorFindLeaks();
      const auto found = test::takeFindings();
      if (!found.empty()) throw check::Failure("when call " + std::to_string(nth) + " failed:" + test::describe(found));
    }
  }
  // Or the test would pass for code that ignores them; calls that free or ask again need no error.
  CHECK(errors > calls / 4);
}

TEST(after_teardown_of_the_driver_engines_go_in_silence) {
  auto engine = test::load(test::productPlan());
  std::optional<trt::BoundExecution> bound(std::in_place, engine, std::vector<trt::Shape>{{2, 4}}, trt::BindOptions{},
                                           "bound");
  std::optional<trt::RunQueue> queue(std::in_place, engine, 2);
  bound->launch();
  bound->wait();
  simulatorDeinitialize();
  CHECK_THROWS(bound->launch(), cuda::CudaError);
  test::AwaitedRun run({});
  queue->submit(run.run);
  CHECK_THROWS(run.result.get(), std::exception);
  queue.reset();
  bound.reset();
  engine.reset();
  // What a driver takes with it is no leak of the program, and the simulated one cannot tell.
  simulatorReset();
}
