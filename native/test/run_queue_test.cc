// Runs of an engine: many threads, every shape, and every way they can end.
#include "tensorrt/run_queue.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "engines.h"
#include "tensorrt/error.h"
#include "tensorrt/execution.h"

namespace cuda = tensorrt_node::cuda;
namespace trt = tensorrt_node::tensorrt;

namespace {

std::vector<trt::RunInput> rows(const trt::Engine& engine, std::int64_t count, float value) {
  return {test::input<float>(engine, {count, 4}, std::vector<float>(static_cast<std::size_t>(count) * 4, value))};
}

void checkRows(const trt::RunOutput& output, std::int64_t count, float value) {
  CHECK_EQUAL(trt::shapeText(output.dims), trt::shapeText(std::vector<std::int64_t>{count, 3}));
  for (const float each : test::elements<float>(output.block)) CHECK_EQUAL(each, value * 4);
}

void checkWorks(trt::RunQueue& queue, const trt::Engine& engine) {
  test::AwaitedRun run(rows(engine, 2, 5));
  queue.submit(run.run);
  checkRows(run.result.get().at(0), 2, 5);
}

std::exception_ptr closing() {
  return std::make_exception_ptr(std::runtime_error("closed"));
}

}  // namespace

TEST(runs_of_many_threads_get_their_own_results) {
  test::slowDown(2'000, 20'000);
  const auto engine = test::load(test::productPlan());
  trt::RunQueue queue(engine, 3);
  std::vector<std::string> failures(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < failures.size(); ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      try {
        for (int i = 0; i < 40; ++i) {
          const std::int64_t count = 1 + random() % 64;
          const auto value = static_cast<float>(random() % 100);
          test::AwaitedRun run(rows(*engine, count, value));
          queue.submit(run.run);
          checkRows(run.result.get().at(0), count, value);
        }
      } catch (const std::exception& error) {
        failures[t] = error.what();
      }
    });
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) CHECK_EQUAL(failure, "");
}

TEST(runs_of_a_shape_seen_before_take_no_memory_from_the_driver) {
  const auto engine = test::load(test::productPlan());
  trt::RunQueue queue(engine, 1);
  for (const std::int64_t count : {1, 8, 64}) {
    test::AwaitedRun run(rows(*engine, count, 1));
    queue.submit(run.run);
    run.result.get();
  }
  const auto device = engine->memory().device->stats().allocations;
  const auto pinned = engine->memory().pinned->stats().allocations;
  const auto fromDriver = simulatorCalls("cuMemAlloc_v2");
  for (int i = 0; i < 100; ++i) {
    const std::int64_t count = i % 3 == 0 ? 64 : 1 + i % 8;
    test::AwaitedRun run(rows(*engine, count, 2));
    queue.submit(run.run);
    checkRows(run.result.get().at(0), count, 2);
  }
  CHECK_EQUAL(engine->memory().device->stats().allocations, device);
  CHECK_EQUAL(engine->memory().pinned->stats().allocations, pinned);
  CHECK_EQUAL(simulatorCalls("cuMemAlloc_v2"), fromDriver);
}

TEST(shapes_that_no_profile_holds_are_named) {
  const auto engine = test::load(test::productPlan());
  trt::RunQueue queue(engine, 1);
  test::AwaitedRun run(rows(*engine, 65, 1));
  queue.submit(run.run);
  const auto error = CHECK_THROWS(run.result.get(), trt::TensorrtError);
  CHECK_CONTAINS(error.what(), "no optimization profile of the engine holds x [65, 4]");
  checkWorks(queue, *engine);
}

TEST(inputs_of_the_wrong_size_are_refused) {
  const auto engine = test::load(test::productPlan());
  trt::RunQueue queue(engine, 1);
  test::AwaitedRun tooFew({test::input<float>(*engine, {2, 4}, {1, 1, 1, 1})});
  queue.submit(tooFew.run);
  CHECK_THROWS(tooFew.result.get(), std::invalid_argument);
  test::AwaitedRun none({});
  queue.submit(none.run);
  CHECK_THROWS(none.result.get(), std::invalid_argument);
  checkWorks(queue, *engine);
}

TEST(outputs_take_the_shape_that_their_data_gives_them) {
  const auto engine = test::load(test::nonZeroPlan());
  trt::RunQueue queue(engine, 1);
  for (const std::size_t count : {std::size_t{3}, std::size_t{0}, std::size_t{8}, std::size_t{1}}) {
    std::vector<float> values(8, 0);
    for (std::size_t i = 0; i < count; ++i) values[i] = 1;
    test::AwaitedRun run({test::input<float>(*engine, {8}, values)});
    queue.submit(run.run);
    const auto outputs = run.result.get();
    CHECK_EQUAL(trt::shapeText(outputs.at(0).dims),
                trt::shapeText(std::vector<std::int64_t>{1, static_cast<std::int64_t>(count)}));
    CHECK_EQUAL(outputs.at(0).block.size(), count * sizeof(std::int64_t));
  }
}

TEST(values_of_inputs_on_the_host_decide_shapes) {
  const auto engine = test::load(test::expandPlan());
  trt::RunQueue queue(engine, 1);
  for (const std::int64_t count : {2, 12, 2, 1}) {
    std::vector<trt::RunInput> inputs;
    for (const trt::TensorInfo& tensor : engine->inputs())
      inputs.push_back(tensor.name == "x" ? test::input<float>(*engine, {1, 3}, {1, 2, 3})
                                          : test::input<std::int64_t>(*engine, {2}, {count, 3}));
    test::AwaitedRun run(std::move(inputs));
    queue.submit(run.run);
    const auto outputs = run.result.get();
    CHECK_EQUAL(trt::shapeText(outputs.at(0).dims), trt::shapeText(std::vector<std::int64_t>{count, 3}));
    CHECK_EQUAL(test::last<float>(outputs.at(0).block), 3.0F);
  }
}

TEST(a_run_that_fails_fails_alone) {
  const auto engine = test::load(test::productPlan());
  trt::RunQueue queue(engine, 2);
  checkWorks(queue, *engine);
  for (const char* call : {"cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuEventRecord", "cuEventQuery"}) {
    simulatorFail(call, 1, 1, CUDA_ERROR_LAUNCH_FAILED);
    test::AwaitedRun run(rows(*engine, 2, 1));
    queue.submit(run.run);
    const auto error = CHECK_THROWS(run.result.get(), cuda::CudaError);
    CHECK_EQUAL(error.result(), CUDA_ERROR_LAUNCH_FAILED);
    checkWorks(queue, *engine);
  }
  simulatedTensorrtSet("enqueue", "fail");
  test::AwaitedRun run(rows(*engine, 2, 1));
  queue.submit(run.run);
  const auto error = CHECK_THROWS(run.result.get(), trt::TensorrtError);
  CHECK_EQUAL(error.call(), "enqueueV3");
  CHECK_CONTAINS(error.what(), "\n  ");
  simulatedTensorrtReset();
  checkWorks(queue, *engine);
}

TEST(memory_that_runs_out_is_asked_for_once_more) {
  const std::string plan = test::productPlan();
  const auto engine = test::load(plan, test::memory(8 * 1024));
  trt::RunQueue queue(engine, 1);
  // Idle memory of other classes, which the pool must give back first.
  {
    const cuda::DeviceBlock idle =
        engine->memory().device->allocate(4096, cuda::Stream(engine->memory().context, "other"));
  }
  checkWorks(queue, *engine);
  // A block that somebody else has.
  {
    const cuda::Stream stream(engine->memory().context, "other");
    const cuda::DeviceBlock taken = engine->memory().device->allocate(6 * 1024, stream);
    test::AwaitedRun run(rows(*engine, 64, 1));
    queue.submit(run.run);
    const auto error = CHECK_THROWS(run.result.get(), cuda::CudaError);
    CHECK_EQUAL(error.result(), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_CONTAINS(error.what(), "with");
  }
  test::AwaitedRun run(rows(*engine, 64, 1));
  queue.submit(run.run);
  checkRows(run.result.get().at(0), 64, 1);
  checkWorks(queue, *engine);
}

TEST(contexts_without_a_run_give_their_memory_to_one_that_has_none_left) {
  const std::string plan = test::productPlan();
  // What one context takes for two rows, and for 64.
  const auto taken = [&](std::int64_t count) {
    const auto engine = test::load(plan);
    trt::RunQueue queue(engine, 1);
    test::AwaitedRun run(rows(*engine, count, 1));
    queue.submit(run.run);
    run.result.get();
    return engine->memory().device->stats().reservedBytes;
  };
  const std::size_t small = taken(2);
  const std::size_t large = taken(64);
  const std::size_t limit = std::max(large, 2 * small);
  // Else it would fit beside the other context's.
  CHECK(large + small > limit);

  test::slowDown(1'000'000);
  const auto engine = test::load(plan, test::memory(limit));
  trt::RunQueue queue(engine, 2);
  // Until both contexts have run.
  while (engine->memory().device->stats().usedBlocks < 6) {
    test::AwaitedRun first(rows(*engine, 2, 1));
    test::AwaitedRun second(rows(*engine, 2, 2));
    queue.submit(first.run);
    queue.submit(second.run);
    checkRows(first.result.get().at(0), 2, 1);
    checkRows(second.result.get().at(0), 2, 2);
  }
  test::AwaitedRun run(rows(*engine, 64, 3));
  queue.submit(run.run);
  checkRows(run.result.get().at(0), 64, 3);
  checkWorks(queue, *engine);
}

TEST(memory_that_an_output_asks_for_can_run_out) {
  const auto engine = test::load(test::nonZeroPlan());
  trt::RunQueue queue(engine, 1);
  test::AwaitedRun warm({test::input<float>(*engine, {8}, std::vector<float>(8, 0))});
  queue.submit(warm.run);
  warm.result.get();
  simulatorFail("cuMemAlloc_v2", 1, 8, CUDA_ERROR_OUT_OF_MEMORY);
  engine->memory().device->trim();
  test::AwaitedRun run({test::input<float>(*engine, {8}, std::vector<float>(8, 1))});
  queue.submit(run.run);
  try {
    // It may have fitted what was there already.
    const auto outputs = run.result.get();
    CHECK_EQUAL(outputs.at(0).dims.at(1), 8);
  } catch (const cuda::CudaError& error) {
    CHECK_EQUAL(error.result(), CUDA_ERROR_OUT_OF_MEMORY);
  }
}

TEST(runs_are_cancelled_at_every_stage) {
  test::slowDown(50'000);
  const auto engine = test::load(test::productPlan());
  trt::RunQueue queue(engine, 1);
  for (int delay = 0; delay < 30; ++delay) {
    test::AwaitedRun first(rows(*engine, 2, 1));
    test::AwaitedRun second(rows(*engine, 2, 2));
    queue.submit(first.run);
    queue.submit(second.run);
    std::this_thread::sleep_for(std::chrono::microseconds(delay * 20));
    queue.cancel(first.run);
    queue.cancel(first.run);
    checkRows(second.result.get().at(0), 2, 2);
  }
  // One that waits gives its memory back at once, while somebody keeps it.
  test::AwaitedRun busy(rows(*engine, 2, 1));
  test::AwaitedRun waiting(rows(*engine, 2, 1));
  queue.submit(busy.run);
  queue.submit(waiting.run);
  queue.cancel(waiting.run);
  busy.result.get();
  queue.stop(closing());
  CHECK_EQUAL(engine->memory().pinned->stats().usedBlocks, 0U);
  CHECK_EQUAL(engine->memory().device->stats().usedBlocks, 0U);
}

TEST(a_closed_queue_ends_what_waits_and_what_comes) {
  test::slowDown(200'000);
  const auto engine = test::load(test::productPlan());
  trt::RunQueue queue(engine, 2);
  std::vector<test::AwaitedRun> runs;
  for (int i = 0; i < 10; ++i) runs.emplace_back(rows(*engine, 2, 1));
  for (const auto& each : runs) queue.submit(each.run);
  queue.close(closing());
  int done = 0;
  for (auto& each : runs) {
    try {
      each.result.get();
      ++done;
    } catch (const std::runtime_error& error) {
      CHECK_EQUAL(error.what(), std::string("closed"));
    }
  }
  CHECK(done <= 2);
  test::AwaitedRun late(rows(*engine, 2, 1));
  queue.submit(late.run);
  CHECK_THROWS(late.result.get(), std::runtime_error);
  queue.stop(closing());
  queue.stop(closing());
  CHECK_EQUAL(engine->memory().device->stats().usedBlocks, 0U);
}

TEST(a_queue_destroyed_with_runs_under_way_waits_for_them) {
  test::slowDown(500'000);
  const auto engine = test::load(test::productPlan());
  std::vector<test::AwaitedRun> runs;
  {
    trt::RunQueue queue(engine, 2);
    for (int i = 0; i < 6; ++i) runs.emplace_back(rows(*engine, 2, 1));
    for (const auto& each : runs) queue.submit(each.run);
  }
  for (auto& each : runs) CHECK(each.result.wait_for(std::chrono::seconds(0)) == std::future_status::ready);
}

TEST(work_between_runs_finds_none_under_way) {
  test::slowDown(20'000);
  const auto engine = test::load(test::productPlan());
  trt::RunQueue queue(engine, 3);
  std::atomic<bool> stop = false;
  std::thread submitter([&] {
    while (!stop) checkWorks(queue, *engine);
  });
  const auto calls = [] { return simulatorCalls("cuMemcpyHtoDAsync_v2"); };
  for (int i = 0; i < 20; ++i)
    queue.whileIdle([&] {
      const auto before = calls();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      CHECK_EQUAL(calls(), before);
    });
  CHECK_THROWS(queue.whileIdle([]() { throw std::runtime_error("on purpose"); }), std::runtime_error);
  stop = true;
  submitter.join();
  checkWorks(queue, *engine);
}

TEST(a_queue_stops_when_the_work_between_runs_is_done) {
  const auto engine = test::load(test::productPlan());
  trt::RunQueue queue(engine, 2);
  std::promise<void> begun;
  std::atomic<bool> done = false;
  std::thread worker([&] {
    queue.whileIdle([&] {
      begun.set_value();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      done = true;
    });
  });
  begun.get_future().wait();
  // Contexts must not go while the engine is being refitted, say.
  queue.stop(closing());
  const bool waited = done;
  worker.join();
  CHECK(waited);
}

TEST(a_context_that_is_not_waited_for_is_found) {
  // What the queue waits for, left out: the simulated driver must notice.
  test::slowDown(100'000);
  const auto engine = test::load(test::productPlan());
  trt::Execution execution(engine, "careless");
  const auto run = rows(*engine, 2, 1);
  const std::vector<trt::InputView> views{{run[0].dims, run[0].block->bytes()}};
  execution.prepare(views);
  execution.copyInputs(views);
  execution.enqueue();
  auto output = engine->memory().pinned->allocate(execution.outputBytes(0));
  execution.copyOutput(0, output.bytes());
  // Only said: read in earnest, it would be a data race of the test's own.
  cuda::noteHostAccess(output.data(), output.size(), false);
  execution.stream().synchronize();
  CHECK_CONTAINS(test::takeOnlyFinding(SIMULATOR_RACE), "the host reads");
}
