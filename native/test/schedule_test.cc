// Random schedules: many blocks on many streams, reused as the pools see fit, and every byte checked, while the
// simulated driver judges the order of it all.
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "cuda/copy.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

namespace {

struct World {
  std::shared_ptr<const cuda::Context> context = test::context();
  std::vector<cuda::Stream> streams;
  cuda::PinnedPool pinned;
  cuda::DevicePool device;

  World(std::size_t streamCount, std::size_t pinnedLimit, std::size_t deviceLimit)
      : pinned(context, {.name = "pinned", .limitBytes = pinnedLimit}),
        device(context, {.name = "device", .limitBytes = deviceLimit}) {
    for (std::size_t i = 0; i < streamCount; ++i) streams.emplace_back(context, "stream " + std::to_string(i));
  }
};

// A round trip: pattern up on one stream, across to another block on a second, down on the second, and compared. Some
// are dropped half way, with everything in flight.
void roundTrip(World& world, std::mt19937& random) {
  const auto below = [&](std::size_t limit) { return std::size_t{random()} % limit; };
  const cuda::Stream& up = world.streams[below(world.streams.size())];
  const cuda::Stream& down = world.streams[below(world.streams.size())];
  const std::size_t bytes = 1 + below(12'000);
  const auto pattern = static_cast<std::byte>(below(256));

  auto source = world.pinned.allocate(bytes);
  std::memset(source.data(), static_cast<int>(pattern), bytes);
  auto first = world.device.allocate(bytes, up);
  cuda::copyToDevice(up, first, 0, source, 0, bytes);
  source.reset();
  if (below(8) == 0) return;

  cuda::Event uploaded(world.context);
  up.record(uploaded);
  down.wait(uploaded);
  auto second = world.device.allocate(bytes, down);
  cuda::copyOnDevice(down, second, 0, first, 0, bytes);
  first.reset();
  auto target = world.pinned.allocate(bytes);
  cuda::copyToHost(down, target, 0, second, 0, bytes);
  second.reset();
  if (below(8) == 0) return;

  cuda::Event downloaded(world.context);
  down.record(downloaded);
  downloaded.wait();
  simulatorHostAccess(target.data(), bytes, 0);
  CHECK_EQUAL(std::count(target.data(), target.data() + bytes, pattern), static_cast<std::ptrdiff_t>(bytes));
  if (below(16) == 0) world.pinned.trim(below(50'000));
  if (below(16) == 0) world.device.trim(below(50'000));
}

constexpr std::size_t unlimited = SIZE_MAX;

}  // namespace

TEST(random_schedules_of_one_thread_are_in_order) {
  for (unsigned seed = 1; seed <= 150; ++seed) {
    simulatorReset();
    test::slowDown(0, 100'000, seed);
    {
      std::mt19937 random(seed);
      // Every third run so tight that the pools must wait for their own work.
      const bool tight = seed % 3 == 0;
      World world(1 + seed % 5, tight ? 65'536 : unlimited, tight ? 65'536 : unlimited);
      for (int i = 0; i < 20; ++i) roundTrip(world, random);
    }
    simulatorFindLeaks();
    const auto found = test::takeFindings();
    if (!found.empty()) throw check::Failure("seed " + std::to_string(seed) + ":" + test::describe(found));
  }
}

TEST(random_schedules_of_many_threads_are_in_order) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    simulatorReset();
    test::slowDown(0, 50'000, seed);
    std::vector<std::string> failures(6);
    {
      // Each thread has at most two blocks of each kind out; together they fit the limit, so none may run out.
      const bool tight = seed % 2 == 0;
      World world(4, tight ? 200'000 : unlimited, tight ? 200'000 : unlimited);
      std::vector<std::thread> threads;
      for (std::size_t i = 0; i < failures.size(); ++i)
        threads.emplace_back([&, i] {
          std::mt19937 random(static_cast<unsigned>(seed * 100 + i));
          try {
            for (int round = 0; round < 30; ++round) roundTrip(world, random);
          } catch (const std::exception& error) {
            failures[i] = error.what();
          }
        });
      for (auto& thread : threads) thread.join();
      CHECK_EQUAL(world.pinned.stats().usedBlocks, 0U);
      CHECK_EQUAL(world.device.stats().usedBytes, 0U);
    }
    for (const auto& failure : failures) CHECK_EQUAL(failure, "");
    simulatorFindLeaks();
    const auto found = test::takeFindings();
    if (!found.empty()) throw check::Failure("seed " + std::to_string(seed) + ":" + test::describe(found));
  }
}

TEST(blocks_return_from_threads_that_did_not_take_them) {
  World world(1, unlimited, unlimited);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    std::vector<cuda::PinnedBlock> blocks;
    for (int j = 0; j < 50; ++j) blocks.push_back(world.pinned.allocate(static_cast<std::size_t>(j) * 100));
    threads.emplace_back([taken = std::move(blocks)]() mutable {
      while (!taken.empty()) taken.pop_back();
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK_EQUAL(world.pinned.stats().usedBlocks, 0U);
}
