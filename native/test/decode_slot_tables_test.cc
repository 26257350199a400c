// What slots begin with, as the device sees it.
#include "decode/slot_tables.h"

#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include "cuda/error.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;
namespace decode = tensorrt_node::decode;
namespace kernels = tensorrt_node::kernels;

namespace {

constexpr decode::RunnerLimits limits{
    .slots = 3, .pages = 8, .pagesPerSlot = 4, .prefillRows = 1, .decodeRows = 1, .scoreRows = 1, .vocabulary = 100};

struct Bench {
  std::shared_ptr<const cuda::Context> context = test::context();
  cuda::Stream stream{context, "decode"};
  std::shared_ptr<cuda::DevicePool> device = std::make_shared<cuda::DevicePool>(context);
  std::shared_ptr<cuda::PinnedPool> pinned = std::make_shared<cuda::PinnedPool>(context);
  decode::SlotTables tables{limits, stream, device, pinned};

  // Elements at an address of the device, once the work queued is done.
  template <typename Element>
  std::vector<Element> read(const Element* address, std::size_t count) {
    const std::size_t bytes = count * sizeof(Element);
    const cuda::PinnedBlock block = pinned->allocate(bytes);
    const cuda::Current current(*context);
    cuda::check(
        cuda::driver().cuMemcpyDtoHAsync(block.data(), reinterpret_cast<CUdeviceptr>(address), bytes, stream.handle()),
        "cuMemcpyDtoHAsync");
    stream.synchronize();
    std::vector<Element> elements(count);
    std::memcpy(elements.data(), block.data(), bytes);
    return elements;
  }
};

}  // namespace

TEST(decode_slots_begin_with_pages_state_and_sampling) {
  Bench bench;
  decode::Sampling sampling;
  sampling.temperature = 0.5F;
  sampling.topK = 7;
  sampling.seed = 42;
  sampling.repetitionPenalty = 1.5F;
  sampling.bias = {{5, -1.0F}, {6, 2.0F}};
  sampling.stopTokens = {9, 8, 7};
  const std::vector<decode::Page> pages{4, 2, 6};
  const std::vector<std::int32_t> prompt{1, 2, 2, 99, 100, -1};
  bench.tables.begin({.slot = 1, .pages = pages, .prompt = prompt, .maxNewTokens = 20, .sampling = sampling});

  const auto table = bench.read(bench.tables.pages(), 12);
  CHECK(std::vector<std::int32_t>(table.begin() + 4, table.begin() + 7) == pages);
  const auto states = bench.read(bench.tables.states(), 3);
  CHECK_EQUAL(states[0].running, 0);
  CHECK_EQUAL(states[1].running, 1);
  CHECK_EQUAL(states[1].position, 5);
  CHECK_EQUAL(states[1].remaining, 20);
  CHECK_EQUAL(states[2].running, 0);

  const auto slots = bench.read(bench.tables.sampling(), 3);
  CHECK_EQUAL(slots[1].temperature, 0.5F);
  CHECK_EQUAL(slots[1].topK, 7);
  CHECK_EQUAL(slots[1].seed, 42U);
  CHECK_EQUAL(slots[1].logprobs, -1);
  CHECK(bench.read(slots[1].biasTokens, 2) == std::vector<std::int32_t>({5, 6}));
  CHECK(bench.read(slots[1].biasValues, 2) == std::vector<float>({-1, 2}));
  CHECK(bench.read(slots[1].stopTokenIds, 3) == sampling.stopTokens);
  const auto counts = bench.read(slots[1].counts, 100);
  for (std::int32_t token = 0; token < 100; ++token) {
    const bool seen = token == 1 || token == 2 || token == 99;
    CHECK_EQUAL(counts[static_cast<std::size_t>(token)], seen ? std::numeric_limits<std::int32_t>::min() : 0);
  }
}

TEST(decode_slots_without_penalties_count_nothing) {
  Bench bench;
  const std::vector<std::int32_t> prompt{1};
  bench.tables.begin({.slot = 0, .pages = {}, .prompt = prompt, .maxNewTokens = 1, .sampling = {}});
  const auto slots = bench.read(bench.tables.sampling(), 1);
  CHECK(slots[0].counts == nullptr);
  CHECK_EQUAL(slots[0].biases, 0);
  CHECK_EQUAL(slots[0].stopTokens, 0);
}

TEST(decode_slots_begin_again_while_steps_read_the_lists_of_before) {
  // Nothing is waited for, and the simulated driver would see memory that is used too early.
  test::slowDown(20'000);
  Bench bench;
  decode::Sampling sampling;
  sampling.presencePenalty = 1;
  const std::vector<std::int32_t> prompt{3};
  for (std::int32_t i = 0; i < 50; ++i) {
    sampling.stopTokens.assign(1, i);
    bench.tables.begin({.slot = i % 3, .pages = {}, .prompt = prompt, .maxNewTokens = i, .sampling = sampling});
  }
  const auto slots = bench.read(bench.tables.sampling(), 3);
  for (const std::int32_t last : {47, 48, 49})
    CHECK(bench.read(slots[static_cast<std::size_t>(last % 3)].stopTokenIds, 1) == std::vector<std::int32_t>{last});
}

TEST(decode_slots_that_there_are_not_are_refused) {
  Bench bench;
  const std::vector<decode::Page> many(5);
  const std::vector<std::int32_t> prompt{1};
  CHECK_THROWS((bench.tables.begin({3, {}, prompt, 1, {}}), 0), std::out_of_range);
  CHECK_THROWS((bench.tables.begin({-1, {}, prompt, 1, {}}), 0), std::out_of_range);
  const auto error = CHECK_THROWS((bench.tables.begin({0, many, prompt, 1, {}}), 0), std::out_of_range);
  CHECK_CONTAINS(error.what(), "slot 0 with 5 pages, of 3 with 4");
}

TEST(decode_slots_for_which_there_is_no_memory_stay_as_they_are) {
  Bench bench;
  const std::vector<std::int32_t> prompt{1};
  bench.tables.begin({.slot = 0, .pages = {}, .prompt = prompt, .maxNewTokens = 5, .sampling = {}});
  decode::Sampling sampling;
  sampling.frequencyPenalty = 1;
  simulatorFail("cuMemAlloc_v2", 1, 8, CUDA_ERROR_OUT_OF_MEMORY);
  const decode::SlotStart start{.slot = 0, .pages = {}, .prompt = prompt, .maxNewTokens = 9, .sampling = sampling};
  const auto error = CHECK_THROWS((bench.tables.begin(start), 0), cuda::CudaError);
  CHECK_EQUAL(error.result(), CUDA_ERROR_OUT_OF_MEMORY);
  const auto states = bench.read(bench.tables.states(), 1);
  CHECK_EQUAL(states[0].remaining, 5);
  test::takeFindings();
}
