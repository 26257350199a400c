// The store under thousands of random schedules, latencies and failures: steps that end get the right weights, whatever
// failed before, and nothing is used that nothing ordered.
#include <unistd.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "files/error.h"
#include "weights_store.h"

namespace cuda = tensorrt_node::cuda;
namespace weights = tensorrt_node::weights;
using weights::Tier;

namespace {

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
  bool oneIn(std::uint64_t count) { return below(count) == 0; }

 private:
  std::mt19937_64 engine_;
};

// Reads that fail now and then, while asked to.
struct Disk {
  std::atomic<bool> failing = false;
  std::atomic<std::uint64_t> calls = 0;

  ssize_t read(int file, void* to, std::size_t bytes, off_t offset) {
    const std::uint64_t call = ++calls;
    if (failing && call % 3 == 0) {
      if (call % 2 == 0) return 0;
      errno = EIO;
      return -1;
    }
    // Less than was asked for, as the system may.
    if (call % 5 == 0 && bytes > 4096) bytes = 4096;
    return ::pread(file, to, bytes, offset);
  }
};

// Few of them, as files are slow to make.
std::vector<test::StoreModel> models() {
  std::vector<test::StoreModel> made;
  for (const std::size_t layers : {4, 5, 6}) {
    test::StoreModel& model = made.emplace_back();
    model.add(30);
    model.run({0}, Tier::vram);
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const std::size_t first = model.matrices.size();
      model.add(20 + layer * 7 % 5);
      model.add(10, layer % 3 == 1);
      model.run({first, first + 1}, Tier::ram);
    }
    model.add(3);
    model.run({0, model.matrices.size() - 1}, Tier::vram);
    model.write();
  }
  return made;
}

struct Outcome {
  int steps = 0;
  int failures = 0;
};

class Schedule {
 public:
  Schedule(test::StoreModel& model, std::uint64_t seed) : model_(model), chance_(seed) {
    SimulatorConfig config = simulatorDefaults();
    config.operationNs = chance_.oneIn(4) ? chance_.below(20'000) : 0;
    config.jitterNs = chance_.oneIn(4) ? 1 + chance_.below(50'000) : 0;
    config.seed = seed;
    simulatorConfigure(&config);
    for (auto& run : model_.runs) run.tier = std::array{Tier::ram, Tier::disk, Tier::ram, Tier::vram}[chance_.below(4)];
  }

  Outcome run() {
    std::unique_ptr<weights::Store> store;
    weights::StoreOptions options{.threads = static_cast<unsigned>(1 + chance_.below(3)),
                                  .readers = static_cast<unsigned>(1 + chance_.below(3)),
                                  .chunkBytes = 64 + chance_.below(1000),
                                  .stagedChunks = 2 + chance_.below(4),
                                  .places = chance_.oneIn(2) ? 0 : 2 + chance_.below(3),
                                  .kept = keptOf(),
                                  .pieceBytes = 1};
    options.read = [disk = disk_](int file, void* to, std::size_t bytes, off_t offset) {
      return disk->read(file, to, bytes, offset);
    };
    if (chance_.oneIn(4)) plantFault();
    if (!survives([&] { store = model_.load(memory_, options); })) store = model_.load(memory_, options);
    for (std::uint64_t turn = 0, turns = 1 + chance_.below(4); turn < turns; ++turn) {
      if (chance_.oneIn(3)) plantFault();
      disk_->failing = chance_.oneIn(4);
      if (chance_.oneIn(4)) {
        swap(*store);
      } else {
        survives([&] { step(*store, chance_.oneIn(8)); });
      }
    }
    disk_->failing = false;
    // The faults that are left would only be met by chance.
    for (int left = 0; left < 4 && !survives([&] { step(*store, false); }); ++left) continue;
    compute_.synchronize();
    CHECK_EQUAL(compared_->wrong.load(), 0);
    CHECK_EQUAL(compared_->right.load(), queued_);
    return outcome_;
  }

 private:
  std::vector<std::size_t> keptOf() {
    std::vector<std::size_t> kept;
    for (std::size_t weight = 0; weight < model_.matrices.size(); ++weight)
      if (chance_.oneIn(6)) kept.push_back(weight);
    return kept;
  }

  // False for what ended in a typed error.
  template <typename Action>
  bool survives(Action action) {
    try {
      action();
      return true;
    } catch (const cuda::CudaError&) {
    } catch (const tensorrt_node::files::FileError&) {
    }
    ++outcome_.failures;
    return false;
  }

  void plantFault() {
    constexpr std::array symbols{"cuMemAlloc_v2",     "cuMemHostAlloc", "cuMemCreate",      "cuMemMap",
                                 "cuMemSetAccess",    "cuEventCreate",  "cuEventRecord",    "cuMemcpyHtoDAsync_v2",
                                 "cuStreamWaitEvent", "cuStreamCreate", "cuLaunchKernelEx", "cuMemcpyDtoHAsync_v2"};
    const bool memory = chance_.oneIn(2);
    simulatorFail(symbols[chance_.below(symbols.size())], 1 + chance_.below(12), 1,
                  memory ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_UNKNOWN);
  }

  void step(weights::Store& store, bool givenUp) {
    const std::size_t last = givenUp ? chance_.below(model_.runs.size()) : model_.runs.size();
    store.begin(compute_);
    for (std::size_t run = 0; run < model_.runs.size(); ++run) {
      store.acquire(run, compute_);
      test::compare(model_, store, run, compute_, compared_, chance_.oneIn(4) ? chance_.below(50'000) : 0);
      ++queued_;
      if (run == last) return;
      store.release(run, compute_);
    }
    ++outcome_.steps;
  }

  void swap(weights::Store& store) {
    const bool keepRam = chance_.oneIn(2);
    survives([&] { store.evict(compute_, keepRam); });
    if (store.evicted() && chance_.oneIn(4)) survives([&] { store.evict(compute_, false); });
    // Where memory is short, again and again until it is there.
    disk_->failing = false;
    for (int left = 0; left < 20 && store.evicted(); ++left) survives([&] { store.restore(); });
    CHECK(!store.evicted());
  }

  test::StoreModel& model_;
  Chance chance_;
  std::shared_ptr<Disk> disk_ = std::make_shared<Disk>();
  tensorrt_node::tensorrt::DeviceMemory memory_ = test::memory();
  cuda::Stream compute_{memory_.context, "compute"};
  std::shared_ptr<test::Compared> compared_ = std::make_shared<test::Compared>();
  int queued_ = 0;
  Outcome outcome_;
};

}  // namespace

// Under ThreadSanitizer each takes several times as long.
#ifdef __SANITIZE_THREAD__
constexpr std::uint64_t schedules = 500;
#else
constexpr std::uint64_t schedules = 2000;
#endif

TEST(store_survives_random_schedules) {
  std::vector<test::StoreModel> all = models();
  Outcome sum;
  for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
    std::string problem;
    try {
      const Outcome outcome = Schedule(all[seed % all.size()], seed).run();
      sum.steps += outcome.steps;
      sum.failures += outcome.failures;
      test::expectNoFindings();
    } catch (const std::exception& error) {
      problem = error.what();
    }
    if (!problem.empty()) throw check::Failure("seed " + std::to_string(seed) + ": " + problem);
    simulatorReset();
  }
  // Else it is no test.
  CHECK(static_cast<std::uint64_t>(sum.steps) > schedules);
  CHECK(static_cast<std::uint64_t>(sum.failures) > schedules / 10);
}

// Each wait in turn is left out: between a copy and the step that uses it, between a step and the copy that comes
// after.
TEST(planted_missing_waits_of_the_store_are_found) {
  std::vector<test::StoreModel> all = models();
  test::StoreModel& model = all[0];
  for (auto& run : model.runs) run.tier = Tier::ram;
  std::uint64_t waits = 0;
  std::uint64_t found = 0;
  for (std::uint64_t left = 0; left <= waits; ++left) {
    {
      const auto memory = test::memory();
      const cuda::Stream compute(memory.context, "compute");
      const auto compared = std::make_shared<test::Compared>();
      const auto store = model.load(memory);
      const std::uint64_t before = simulatorCalls("cuStreamWaitEvent");
      if (left > 0) simulatorFail("cuStreamWaitEvent", left, 1, CUDA_SUCCESS);
      for (int i = 0; i < 3; ++i) test::step(model, *store, compute, compared, 20'000);
      compute.synchronize();
      if (left == 0) waits = simulatorCalls("cuStreamWaitEvent") - before;
    }
    const auto findings = test::takeFindings();
    for (const auto& each : findings) CHECK_EQUAL(each.kind, SIMULATOR_RACE);
    if (left == 0) CHECK(findings.empty());
    found += findings.empty() ? 0 : 1;
    simulatorReset();
  }
  // 3 steps of 4 layers, each with a wait either way but for the first blocks in the two places. Whether the waits of
  // blocks that are brought for a step to come are needed depends on who is quicker.
  CHECK(waits >= 12 + 10);
  CHECK(found >= waits - 2);
}
