// Weights in VRAM, pinned RAM and on disk, on the simulated driver.
#include "weights/store.h"

#include <algorithm>
#include <filesystem>

#include "cuda/device.h"
#include "file_size_limit.h"
#include "files/error.h"
#include "weights/places.h"
#include "weights_store.h"

namespace cuda = tensorrt_node::cuda;
namespace weights = tensorrt_node::weights;
using weights::Tier;

namespace {

// A table that the first and the last run share, and layers of two matrices of which the second may need conversion.
test::StoreModel layersOf(const std::vector<Tier>& tiers, bool converted = false, std::size_t rows = 40) {
  test::StoreModel model;
  model.add(100);
  model.run({0}, Tier::vram);
  for (std::size_t layer = 0; layer < tiers.size(); ++layer) {
    const std::size_t first = model.matrices.size();
    model.add(rows + layer);
    model.add(rows / 2, converted);
    model.run({first, first + 1}, tiers[layer]);
  }
  model.add(3);
  model.run({model.matrices.size() - 1, 0}, Tier::vram);
  model.write();
  return model;
}

// Reads of some hundred bytes, and memory in small pieces.
weights::StoreOptions smallReads() {
  return {.threads = 2, .readers = 2, .chunkBytes = 300, .stagedChunks = 3, .pieceBytes = 1};
}

std::size_t used(const cuda::Context& context) {
  const cuda::MemoryInfo info = cuda::memory(context);
  return info.totalBytes - info.freeBytes;
}

struct Bench {
  tensorrt_node::tensorrt::DeviceMemory memory = test::memory();
  cuda::Stream compute{memory.context, "compute"};
  std::shared_ptr<test::Compared> compared = std::make_shared<test::Compared>();

  void steps(const test::StoreModel& model, weights::Store& store, int count) const {
    // Of steps before.
    compute.synchronize();
    const int before = compared->right;
    for (int i = 0; i < count; ++i) test::step(model, store, compute, compared);
    compute.synchronize();
    CHECK_EQUAL(compared->wrong.load(), 0);
    CHECK_EQUAL(compared->right - before, count * static_cast<int>(model.runs.size()));
  }
};

}  // namespace

TEST(store_places_keep_neighbours_apart) {
  for (std::size_t runs = 1; runs < 40; ++runs) {
    const std::size_t chosen = weights::placesFor(runs);
    CHECK_EQUAL(chosen, runs <= 2 ? 0U : 2U);
    for (std::size_t places = std::max<std::size_t>(chosen, 2); places < 8 && places < runs; ++places) {
      if (places == 2 && runs % 2 == 1) continue;
      for (std::size_t run = 0; run < runs; ++run) {
        const std::size_t here = weights::placeOf(run, runs, places);
        CHECK(here < places);
        CHECK(here != weights::placeOf((run + 1) % runs, runs, places));
      }
    }
  }
}

TEST(store_gives_every_run_its_weights_from_every_tier) {
  const Tier v = Tier::vram, r = Tier::ram, d = Tier::disk;
  const std::vector<std::vector<Tier>> placements{
      {v, v, v}, {r, r, r}, {r, r, r, r}, {d, d, d, d, d}, {v, r, d, v, r, d, r, d, v}, {d, v, r, v, d, r, d}};
  for (const bool converted : {false, true}) {
    for (const auto& placement : placements) {
      const test::StoreModel model = layersOf(placement, converted);
      const Bench bench;
      const auto store = model.load(bench.memory, smallReads());
      bench.steps(model, *store, 5);
      const weights::StoreCounters counters = store->counters();
      const weights::StoreBytes bytes = store->bytes();
      std::size_t streamed = 0;
      for (std::size_t run = 0; run < model.runs.size(); ++run) streamed += store->streamed(run) ? 1U : 0U;
      const auto moved =
          static_cast<std::size_t>(std::ranges::count_if(placement, [](Tier t) { return t != Tier::vram; }));
      CHECK_EQUAL(streamed, moved > 2 ? moved : 0);
      CHECK(counters.blocks >= 5 * streamed);
      CHECK_EQUAL(counters.restarts, 0U);
      CHECK((counters.reads > 0) == (bytes.disk > 0));
      CHECK((bytes.deviceStaging > 0) == (converted && bytes.disk > 0));
      CHECK(used(*bench.memory.context) >= bytes.vram + bytes.places + bytes.deviceStaging);
    }
  }
}

TEST(store_keeps_single_weights_of_streamed_runs_in_vram) {
  const std::vector<Tier> placement(6, Tier::ram);
  const test::StoreModel model = layersOf(placement, false);
  const std::size_t weight = model.runs[2].weights.front();
  const auto bytesOf = [&](std::size_t each) { return model.matrices[each].bytes(); };
  const Bench bench;
  const auto all = model.load(bench.memory, smallReads());
  weights::StoreOptions options = smallReads();
  options.kept = {weight};
  const auto store = model.load(bench.memory, options);
  CHECK(store->bytes().vram >= all->bytes().vram + bytesOf(weight));
  CHECK(store->bytes().ram + bytesOf(weight) <= all->bytes().ram);
  const CUdeviceptr address = store->address(2, weight);
  bench.steps(model, *store, 3);
  for (const bool keepRam : {true, false}) {
    store->evict(bench.compute, keepRam);
    store->restore();
    CHECK_EQUAL(store->address(2, weight), address);
    bench.steps(model, *store, 2);
  }
}

TEST(store_leaves_a_first_run_in_pinned_memory_where_steps_read_it) {
  for (const bool converted : {false, true}) {
    test::StoreModel model;
    model.add(50, converted);
    model.run({0}, Tier::ram);
    for (std::size_t layer = 0; layer < 4; ++layer) {
      model.add(40);
      model.run({layer + 1}, Tier::ram);
    }
    model.add(30);
    model.run({5}, Tier::vram);
    model.write();
    const Bench bench;
    const auto store = model.load(bench.memory, smallReads());
    CHECK(!store->streamed(0));
    bench.steps(model, *store, 3);
    const CUdeviceptr address = store->address(0, 0);
    const std::uint64_t rest = store->bytes().vram;
    CHECK(rest >= 30 * 16 && rest < 50 * 16);
    for (const bool keepRam : {true, false}) {
      store->evict(bench.compute, keepRam);
      CHECK(store->bytes().ram >= 50 * 16);
      store->restore();
      CHECK_EQUAL(store->address(0, 0), address);
      bench.steps(model, *store, 2);
    }
  }
}

TEST(store_says_how_long_streams_waited) {
  SimulatorConfig config = simulatorDefaults();
  config.copyBytesPerSecond = 20'000'000;
  simulatorConfigure(&config);
  const test::StoreModel model = layersOf({Tier::ram, Tier::ram, Tier::ram, Tier::ram}, false, 1000);
  const Bench bench;
  const auto store = model.load(bench.memory);
  bench.steps(model, *store, 3);
  const weights::StoreCounters slowCopies = store->counters();
  CHECK(slowCopies.copySeconds > 0);
  CHECK(slowCopies.computeWaitSeconds > 0.25 * slowCopies.copySeconds);

  config.copyBytesPerSecond = 0;
  simulatorConfigure(&config);
  for (int i = 0; i < 3; ++i) test::step(model, *store, bench.compute, bench.compared, 2'000'000);
  bench.compute.synchronize();
  CHECK(store->counters().prefetchWaitSeconds > slowCopies.prefetchWaitSeconds + 3e-3);
}

TEST(store_needs_no_memory_and_no_handles_in_steady_state) {
  const test::StoreModel model = layersOf({Tier::ram, Tier::disk, Tier::ram, Tier::disk, Tier::ram}, true);
  const Bench bench;
  const auto store = model.load(bench.memory, smallReads());
  bench.steps(model, *store, 10);
  const auto calls = [] {
    std::uint64_t sum = 0;
    for (const char* symbol :
         {"cuMemAlloc_v2", "cuMemHostAlloc", "cuMemCreate", "cuStreamCreate", "cuStreamSynchronize"})
      sum += simulatorCalls(symbol);
    return sum;
  };
  const std::uint64_t before = calls();
  bench.steps(model, *store, 10);
  // Those of steps().
  CHECK_EQUAL(calls() - before, 2U);
}

TEST(store_begins_anew_after_a_step_that_was_given_up) {
  const test::StoreModel model = layersOf({Tier::ram, Tier::disk, Tier::ram, Tier::disk, Tier::ram, Tier::ram});
  const Bench bench;
  const auto store = model.load(bench.memory, smallReads());
  for (std::size_t last = 0; last < model.runs.size(); ++last) {
    for (const bool released : {false, true}) {
      store->begin(bench.compute);
      for (std::size_t run = 0; run <= last; ++run) {
        store->acquire(run, bench.compute);
        test::compare(model, *store, run, bench.compute, bench.compared);
        if (run < last || released) store->release(run, bench.compute);
      }
      bench.steps(model, *store, 2);
    }
  }
  CHECK(store->counters().restarts > 0);
}

TEST(store_goes_on_once_a_file_that_was_cut_is_whole_again) {
  const test::StoreModel model = layersOf({Tier::disk, Tier::disk, Tier::disk, Tier::disk, Tier::disk});
  const Bench bench;
  const auto store = model.load(bench.memory, smallReads());
  bench.steps(model, *store, 2);
  std::filesystem::resize_file(model.path(), model.bytes.size() / 2);
  bool failed = false;
  // What was read ahead is still good.
  for (int i = 0; i < 10 && !failed; ++i) {
    try {
      test::step(model, *store, bench.compute, bench.compared);
    } catch (const tensorrt_node::files::FileError& error) {
      CHECK_EQUAL(error.codeName(), "ENODATA");
      failed = true;
    }
  }
  CHECK(failed);
  CHECK_THROWS(test::step(model, *store, bench.compute, bench.compared), tensorrt_node::files::FileError);
  model.write();
  bench.steps(model, *store, 3);
}

TEST(store_writes_what_needs_conversion_to_the_offload_folder_once) {
  const test::TemporaryFolder folder;
  const test::StoreModel model = layersOf({Tier::disk, Tier::disk, Tier::disk, Tier::disk}, true);
  auto options = smallReads();
  options.offloadFolder = folder.file(".");
  for (int i = 0; i < 2; ++i) {
    const Bench bench;
    std::uint64_t total = 0;
    const auto store = weights::Store::load(bench.memory, model.matrices, model.runs, options,
                                            [&](std::uint64_t, std::uint64_t of) { total = of; }, {});
    // Only the first time there is more to load than what is resident.
    CHECK((total > 100 * 16 + 3 * 16) == (i == 0));
    CHECK_EQUAL(store->bytes().deviceStaging, 0U);
    bench.steps(model, *store, 3);
    CHECK_EQUAL(std::ranges::count(folder.list(), ' '), 4);
  }
}

TEST(store_without_room_in_the_offload_folder_leaves_nothing_there) {
  const test::StoreModel model = layersOf({Tier::disk, Tier::disk, Tier::disk, Tier::disk}, true, 336);
  const test::TemporaryFolder folder;
  auto options = smallReads();
  // It is made where it is missing.
  options.offloadFolder = folder.file("a/b");
  const Bench bench;
  {
    // The first layer has just so much, the others more.
    const test::FileSizeLimit limit(8192);
    const auto error = CHECK_THROWS(model.load(bench.memory, options), tensorrt_node::files::FileError);
    CHECK_EQUAL(error.call(), "write");
  }
  CHECK(std::filesystem::is_empty(options.offloadFolder));
  CHECK_EQUAL(used(*bench.memory.context), bench.memory.device->stats().reservedBytes);
  bench.steps(model, *model.load(bench.memory, options), 2);
}

TEST(store_leaves_the_gpu_and_comes_back) {
  for (const bool keepRam : {true, false}) {
    const test::StoreModel model =
        layersOf({Tier::vram, Tier::ram, Tier::disk, Tier::ram, Tier::vram, Tier::ram, Tier::disk}, true, 5000);
    const Bench bench;
    const auto store = model.load(bench.memory, {.pieceBytes = 1});
    std::vector<CUdeviceptr> addresses;
    for (std::size_t run = 0; run < model.runs.size(); ++run)
      addresses.push_back(store->address(run, model.runs[run].weights[0]));
    bench.memory.device->trim();
    const std::size_t before = used(*bench.memory.context);
    for (int i = 0; i < 3; ++i) {
      // With steps still under way.
      for (int k = 0; k < 3; ++k) test::step(model, *store, bench.compute, bench.compared);
      store->evict(bench.compute, keepRam);
      CHECK(store->evicted());
      bench.memory.device->trim();
      CHECK(before - used(*bench.memory.context) >= store->bytes().vram + store->bytes().places);
      CHECK_EQUAL(store->bytes().ram > 0, keepRam);
      CHECK_THROWS(store->begin(bench.compute), std::logic_error);
      store->restore();
      bench.steps(model, *store, 2);
    }
    for (std::size_t run = 0; run < model.runs.size(); ++run)
      CHECK_EQUAL(addresses[run], store->address(run, model.runs[run].weights[0]));
  }
}

TEST(store_that_finds_no_room_on_its_way_back_stays_away) {
  const test::StoreModel model = layersOf({Tier::vram, Tier::ram, Tier::ram, Tier::ram, Tier::ram}, false, 5000);
  const Bench bench;
  const auto store = model.load(bench.memory, {.pieceBytes = 1});
  // Pinned memory first: without it nothing leaves.
  bench.memory.pinned->trim();
  simulatorFail("cuMemHostAlloc", 1, 1, CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_EQUAL(CHECK_THROWS(store->evict(bench.compute, true), cuda::CudaError).result(), CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(!store->evicted());
  bench.steps(model, *store, 1);
  store->evict(bench.compute, true);
  for (const bool keepRam : {true, false}) {
    store->evict(bench.compute, keepRam);
    for (const char* symbol : {"cuMemCreate", "cuMemcpyHtoDAsync_v2"}) {
      simulatorFail(symbol, 2, 1, CUDA_ERROR_UNKNOWN);
      CHECK_THROWS(store->restore(), cuda::CudaError);
      CHECK(store->evicted());
      CHECK_EQUAL(used(*bench.memory.context), bench.memory.device->stats().reservedBytes);
    }
    store->restore();
    bench.steps(model, *store, 2);
    store->evict(bench.compute, keepRam);
  }
}

TEST(store_stays_where_the_driver_has_no_virtual_memory) {
  SimulatorConfig config = simulatorDefaults();
  config.virtualMemory = 0;
  simulatorConfigure(&config);
  const test::StoreModel model = layersOf({Tier::vram, Tier::ram, Tier::ram, Tier::disk, Tier::ram});
  const Bench bench;
  const auto store = model.load(bench.memory, smallReads());
  bench.steps(model, *store, 2);
  CHECK_EQUAL(CHECK_THROWS(store->evict(bench.compute, true), cuda::CudaError).result(), CUDA_ERROR_NOT_SUPPORTED);
  bench.steps(model, *store, 2);
}
