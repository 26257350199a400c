// The launchers, on the simulated driver's references.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "cuda/copy.h"
#include "cuda/graph.h"
#include "halves.h"
#include "kernel_gpu.h"
#include "kernels/geometry.h"
#include "kernels/launch.h"

namespace cuda = tensorrt_node::cuda;
using namespace tensorrt_node::kernels;
using test::bfloats;
using test::fromBfloat;
using test::Gpu;
using test::toBfloat;

namespace {

void checkNear(float actual, float expected, float within) {
  if (!(std::abs(actual - expected) <= within)) CHECK_EQUAL(actual, expected);
}

}  // namespace

TEST(kernels_are_loaded_once_a_context_and_unloaded_with_their_last_owner) {
  const auto context = test::context();
  {
    const auto kernels = Kernels::of(context);
    CHECK(Kernels::of(context) == kernels);
    CHECK_EQUAL(kernels->multiprocessors(), 132);
  }
  CHECK(simulatorCalls("cuModuleLoadData") > 0);
  CHECK_EQUAL(simulatorCalls("cuModuleLoadData"), simulatorCalls("cuModuleUnload"));
}

TEST(a_module_that_does_not_load_is_an_error_with_its_name_and_leaves_nothing) {
  const auto context = test::context();
  simulatorFail("cuModuleLoadData", 2, 1, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  const auto error = CHECK_THROWS(Kernels::of(context), cuda::CudaError);
  CHECK_EQUAL(error.call(), "cuModuleLoadData");
  CHECK_CONTAINS(error.what(), "rms_norm");
  CHECK_CONTAINS(error.hint(), "update the driver");
}

TEST(counters_are_leased_to_one_at_a_time_and_end_somewhere) {
  const auto kernels = Kernels::of(test::context());
  const Arrivals first(kernels);
  std::int32_t freed = 0;
  {
    const Arrivals second(kernels);
    freed = second.first();
    CHECK(std::abs(freed - first.first()) >= arrivalsOfLease);
  }
  std::vector<std::unique_ptr<Arrivals>> rest;
  rest.push_back(std::make_unique<Arrivals>(kernels));
  CHECK_EQUAL(rest.back()->first(), freed);
  while (rest.size() < arrivalLeases - 1) rest.push_back(std::make_unique<Arrivals>(kernels));
  CHECK(rest.back()->first() + arrivalsOfLease <= arrivalLeases * arrivalsOfLease);
  CHECK_CONTAINS(CHECK_THROWS(Arrivals(kernels), std::runtime_error).what(), "in use");
}

TEST(a_refused_launch_names_its_kernel) {
  Gpu gpu;
  simulatorFail("cuLaunchKernelEx", 1, 1, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  EmbedParameters p{};
  p.rows = 1;
  const auto error = CHECK_THROWS(embed(*gpu.kernels, gpu.stream.handle(), ElementType::float16, p), cuda::CudaError);
  CHECK_EQUAL(error.call(), "cuLaunchKernelEx");
  CHECK_CONTAINS(error.what(), "embed_float16");
}

TEST(embed_takes_rows_of_the_table_and_zeros_for_tokens_outside) {
  Gpu gpu;
  const auto* tokens = gpu.put<std::int32_t>({2, 0, -1, 3});
  const auto* table = gpu.put<std::uint16_t>({1, 2, 3, 4, 5, 6});
  void* out = gpu.empty(16);
  embed(*gpu.kernels, gpu.stream.handle(), ElementType::float16,
        {.tokens = tokens, .table = table, .out = out, .rows = 4, .width = 2, .vocabulary = 3});
  CHECK(gpu.take<std::uint16_t>(out, 8) == (std::vector<std::uint16_t>{5, 6, 1, 2, 0, 0, 0, 0}));
}

TEST(rms_norm_adds_what_is_skipped_and_keeps_the_sum) {
  Gpu gpu;
  const auto* x = gpu.put(bfloats({1, 2, 3, 4}));
  const auto* skip = gpu.put(bfloats({2, 2, -3, -4}));
  const auto* weight = gpu.put(bfloats({1, 2}));
  void* y = gpu.empty(8);
  void* sum = gpu.empty(8);
  const RmsNormParameters p{
      .x = x, .skip = skip, .weight = weight, .y = y, .sum = sum, .rows = 2, .width = 2, .epsilon = 0.5F};
  rmsNorm(*gpu.kernels, gpu.stream.handle(), ElementType::bfloat16, p);
  CHECK(gpu.take<std::uint16_t>(sum, 4) == bfloats({3, 4, 0, 0}));
  const auto out = gpu.take<std::uint16_t>(y, 4);
  checkNear(fromBfloat(out[0]), 3 / std::sqrt(13.F), 0.01F);
  checkNear(fromBfloat(out[1]), 8 / std::sqrt(13.F), 0.02F);
  CHECK_EQUAL(fromBfloat(out[2]), 0.F);
}

TEST(gated_activations_are_those_of_their_names) {
  Gpu gpu;
  const auto* gateUp = gpu.put(bfloats({1, -2, 3, 4}));
  void* y = gpu.empty(4);
  const auto run = [&](Activation activation) {
    gatedActivation(*gpu.kernels, gpu.stream.handle(), ElementType::bfloat16,
                    {.gateUp = gateUp, .y = y, .rows = 1, .width = 2, .activation = activation});
    const auto out = gpu.take<std::uint16_t>(y, 2);
    return std::pair(fromBfloat(out[0]), fromBfloat(out[1]));
  };
  // x / (1 + exp(-x)), and x times the normal distribution's integral, at 1 and -2.
  const auto silu = run(Activation::silu);
  checkNear(silu.first, 3 * 0.73106F, 0.01F);
  checkNear(silu.second, 4 * -0.23841F, 0.01F);
  for (const Activation gelu : {Activation::geluErf, Activation::geluTanh}) {
    const auto out = run(gelu);
    checkNear(out.first, 3 * 0.84134F, 0.01F);
    checkNear(out.second, 4 * -0.0455F, 0.003F);
  }
}

TEST(linear_is_a_product_with_the_rows_of_the_weight_and_adds_what_is_there) {
  Gpu gpu;
  LinearParameters p{};
  p.x = gpu.put(bfloats({1, 2, 3, -1}));
  p.weight = gpu.put(bfloats({1, 0, 0, 1, 2, 2}));
  void* y = gpu.empty(24);
  p.y = y;
  p.rows = 2;
  p.inner = 2;
  p.outer = 3;
  p.outputType = ElementType::float32;
  linear(*gpu.kernels, gpu.stream.handle(), ElementType::bfloat16, p);
  CHECK(gpu.take<float>(y, 6) == (std::vector<float>{1, 2, 6, 3, -1, 4}));
  p.bias = gpu.put(bfloats({10, 20, 30}));
  p.residual = gpu.put(bfloats({1, 2, 3, 4, 5, 6}));
  p.outputType = ElementType::bfloat16;
  linear(*gpu.kernels, gpu.stream.handle(), ElementType::bfloat16, p);
  CHECK(gpu.take<std::uint16_t>(y, 6) == bfloats({12, 24, 39, 17, 24, 40}));
}

TEST(kernels_that_read_what_another_stream_writes_are_found) {
  Gpu gpu;
  const cuda::Stream other(gpu.context, "other");
  EmbedParameters p{};
  p.tokens = gpu.put<std::int32_t>({0});
  p.table = gpu.put(bfloats({1, 2}));
  p.out = gpu.empty(4);
  p.rows = 1;
  p.width = 2;
  p.vocabulary = 1;
  embed(*gpu.kernels, gpu.stream.handle(), ElementType::bfloat16, p);
  embed(*gpu.kernels, other.handle(), ElementType::bfloat16, p);
  gpu.stream.synchronize();
  other.synchronize();
  CHECK_CONTAINS(test::takeOnlyFinding(SIMULATOR_RACE), "embed_bfloat16");
}

namespace {

// Two heads on one head of keys, head size 64 of which two elements are used: the rest is zero.
struct SmallAttention {
  static constexpr int rowElements = 4 * 64;

  Gpu gpu;
  AttentionParameters p{};
  std::vector<std::uint16_t*> pools;

  // Of each row: the first two elements of two queries, a key and a value.
  SmallAttention(const std::vector<std::vector<float>>& rows, const std::vector<std::int32_t>& positions,
                 const std::vector<std::int32_t>& starts, const std::vector<std::int32_t>& slots) {
    std::vector<std::uint16_t> qkv(rows.size() * rowElements, 0);
    for (std::size_t row = 0; row < rows.size(); ++row)
      for (std::size_t i = 0; i < rows[row].size(); ++i)
        qkv[row * rowElements + i / 2 * 64 + i % 2] = toBfloat(rows[row][i]);
    std::vector<std::int64_t> cache;
    for (int which = 0; which < 2; ++which) {
      pools.push_back(gpu.put(std::vector<std::uint16_t>(3 * 16 * 64, toBfloat(0))));
      cache.push_back(reinterpret_cast<std::int64_t>(pools.back()));
    }
    p.qkv = gpu.put(qkv);
    p.out = gpu.empty(rows.size() * 2 * 64 * 2);
    p.cache = gpu.put(cache);
    p.pages = gpu.put<std::int32_t>({2, 0, 1, 1});
    p.runStarts = gpu.put(starts);
    p.runSlots = gpu.put(slots);
    p.positions = gpu.put(positions);
    p.rows = static_cast<std::int32_t>(rows.size());
    p.runs = static_cast<std::int32_t>(slots.size());
    p.heads = 2;
    p.kvHeads = 1;
    p.headSize = 64;
    p.pagesPerSlot = 2;
    p.pageSize = 16;
    p.decode = rows.size() == slots.size() ? 1 : 0;
    p.splits = 1;
    p.scale = 1;
  }

  // The first two elements of both heads of a row.
  std::vector<float> run(std::size_t row) {
    attention(*gpu.kernels, gpu.stream.handle(), ElementType::bfloat16, p);
    const auto out = gpu.take<std::uint16_t>(p.out, static_cast<std::size_t>(p.rows) * 2 * 64);
    const std::size_t begin = row * 2 * 64;
    return {fromBfloat(out[begin]), fromBfloat(out[begin + 1]), fromBfloat(out[begin + 64]),
            fromBfloat(out[begin + 65])};
  }
};

}  // namespace

TEST(attention_weighs_the_values_of_tokens_up_to_its_own) {
  // One run of two rows: the first sees itself alone; the second, with scores of 0 and ln 3, a quarter of the first.
  const float ln3 = std::log(3.F);
  SmallAttention small({{5, 5, 5, 5, 0, 0, 8, 4}, {1, 0, 0, 0, ln3, 0, 4, 8}}, {0, 1}, {0, 2}, {0});
  const auto first = small.run(0);
  CHECK(first == (std::vector<float>{8, 4, 8, 4}));
  const auto second = small.run(1);
  checkNear(second[0], 5, 0.05F);
  checkNear(second[1], 7, 0.05F);
  // A query of zeros weighs all alike.
  checkNear(second[2], 6, 0.01F);
  // The slot's first page is the pool's last.
  CHECK_EQUAL(small.pools[1][(2 * 16 + 1) * 64], toBfloat(4));
}

TEST(attention_keeps_keys_and_values_as_codes_with_a_scale) {
  struct Expected {
    CacheType type;
    float scale;
    // Of 8 and 4, the one relative to the other.
    std::uint8_t most;
    std::uint8_t half;
    float halfValue;
  };
  // 63.5 is as near to 63 as to 64, which is even.
  for (const Expected& expected : {Expected{CacheType::int8, 8 / 127.F, 127, 64, 64 * 8 / 127.F},
                                   Expected{CacheType::float8, 8 / 15.5F, 0x6F, 0x5F, 4}}) {
    const float ln3 = std::log(3.F);
    SmallAttention small({{5, 5, 5, 5, 0, 0, 8, 4}, {1, 0, 0, 0, ln3, 0, 4, 8}}, {0, 1}, {0, 2}, {0});
    small.p.cacheType = expected.type;
    const auto first = small.run(0);
    checkNear(first[0], 8, 0.04F);
    checkNear(first[1], expected.halfValue, 0.03F);
    const auto second = small.run(1);
    checkNear(second[0], 2 + expected.halfValue * 0.75F, 0.1F);
    // The slot's first page is the pool's last: codes of 16 tokens, then their scales.
    const std::size_t pageBytes = cachePageBytes(expected.type, 1, 16, 64);
    CHECK_EQUAL(pageBytes, 16U * 68);
    const auto pool = small.gpu.take<std::uint8_t>(small.pools[1], 3 * pageBytes);
    const std::uint8_t* page = pool.data() + 2 * pageBytes;
    CHECK_EQUAL(int{page[0]}, int{expected.most});
    CHECK_EQUAL(int{page[1]}, int{expected.half});
    CHECK_EQUAL(int{page[64]}, int{expected.half});
    CHECK_EQUAL(int{page[65]}, int{expected.most});
    float scale = 0;
    std::memcpy(&scale, page + std::size_t{16} * 64, sizeof scale);
    CHECK_EQUAL(scale, expected.scale);
  }
}

TEST(attention_of_a_window_sees_its_last_tokens) {
  SmallAttention small({{0, 0, 0, 0, 0, 0, 8, 0}, {0, 0, 0, 0, 0, 0, 4, 0}, {0, 0, 0, 0, 0, 0, 2, 0}}, {0, 1, 2},
                       {0, 3}, {0});
  small.p.window = 2;
  checkNear(small.run(2)[0], 3, 0.01F);
}

TEST(attention_of_a_step_reads_what_was_there_and_leaves_padding_zero) {
  SmallAttention small({{0, 0, 0, 0, 0, 0, 2, 2}, {1, 1, 1, 1, 1, 1, 1, 1}}, {17, 0}, {0, 1, 2}, {0, -1});
  // Tokens 0 to 15 of the slot are in page 2, the others in page 0.
  for (std::size_t token = 0; token < 16; ++token) small.pools[1][(2 * 16 + token) * 64] = toBfloat(20);
  small.pools[1][0] = toBfloat(20);
  checkNear(small.run(0)[0], (17 * 20 + 2) / 18.F, 0.1F);
  CHECK(small.run(1) == std::vector<float>(4, 0));
  CHECK_EQUAL(small.pools[1][64], toBfloat(2));
}

TEST(attention_rotates_queries_and_keys_to_their_positions) {
  // A quarter turn: the key (1, 0), as halves 32 apart, becomes (0, 1), the query (0, 1) becomes (-1, 0).
  SmallAttention small({{1, 0, 0, 0, 1, 0, 1, 0}}, {1}, {0, 1}, {0});
  std::vector<float> cos(2 * 32, 1);
  std::vector<float> sin(2 * 32, 0);
  cos[32] = 0;
  sin[32] = 1;
  small.p.cos = small.gpu.put(cos);
  small.p.sin = small.gpu.put(sin);
  small.p.rotarySize = 64;
  small.run(0);
  const std::size_t key = (2 * 16 + 1) * 64;
  CHECK_EQUAL(small.pools[0][key], toBfloat(0));
  CHECK_EQUAL(small.pools[0][key + 32], toBfloat(1));
  small.p.interleaved = 1;
  small.run(0);
  CHECK_EQUAL(small.pools[0][key + 1], toBfloat(1));
}

TEST(attention_refuses_what_no_kernel_was_made_for) {
  SmallAttention small({{0}}, {0}, {0, 1}, {0});
  const auto refuses = [&](std::int32_t AttentionParameters::*field, std::int32_t value, const char* word) {
    const AttentionParameters whole = small.p;
    small.p.*field = value;
    CHECK_CONTAINS(CHECK_THROWS(small.run(0), std::invalid_argument).what(), word);
    small.p = whole;
  };
  refuses(&AttentionParameters::headSize, 72, "head sizes");
  refuses(&AttentionParameters::kvHeads, 3, "kvHeads");
  refuses(&AttentionParameters::pageSize, 24, "16 tokens");
  refuses(&AttentionParameters::runs, 2, "runs of one row");
  CHECK(servesHeadSize(128));
  CHECK(!servesHeadSize(72));
}

namespace {

struct SmallSample {
  Gpu gpu;
  SlotSampling sampling{};
  SlotState state{.token = 0, .position = 4, .remaining = 2, .running = 1};
  SlotState after{};

  SmallSample() {
    sampling.topP = 1;
    sampling.repetitionPenalty = 1;
    sampling.logprobs = -1;
  }

  TokenRecord run(const std::vector<float>& logits, std::int32_t slot = 0) {
    SampleParameters p{};
    p.vocabulary = static_cast<std::int32_t>(logits.size());
    p.logits = gpu.put(logits);
    p.slots = gpu.put<std::int32_t>({slot});
    p.sampling = gpu.put<SlotSampling>({sampling});
    auto* states = gpu.put<SlotState>({state});
    p.states = states;
    auto* records = gpu.put<TokenRecord>({TokenRecord{}});
    p.records = records;
    p.workspace = gpu.empty(sampleWorkspaceBytes(1, p.vocabulary));
    p.rows = 1;
    sample(*gpu.kernels, gpu.stream.handle(), p);
    after = gpu.take<SlotState>(states, 1)[0];
    return gpu.take<TokenRecord>(records, 1)[0];
  }
};

}  // namespace

TEST(sampling_without_a_temperature_takes_the_first_of_the_largest) {
  SmallSample small;
  const TokenRecord record = small.run({1, 5, 5, 2});
  CHECK_EQUAL(record.token, 1);
  CHECK_EQUAL(record.finished, 0);
  CHECK_EQUAL(small.after.token, 1);
  CHECK_EQUAL(small.after.position, 5);
  CHECK_EQUAL(small.after.remaining, 1);
  CHECK_EQUAL(small.after.running, 1);
}

TEST(a_slot_ends_with_its_last_token_and_with_a_stop_token) {
  SmallSample small;
  small.state.remaining = 1;
  CHECK_EQUAL(small.run({1, 0}).finished, 1);
  CHECK_EQUAL(small.after.running, 0);
  small.state.remaining = 9;
  small.sampling.stopTokens = 1;
  small.sampling.stopTokenIds = small.gpu.put<std::int32_t>({0});
  CHECK_EQUAL(small.run({1, 0}).finished, 1);
  CHECK_EQUAL(small.run({0, 1}).finished, 0);
}

TEST(slots_that_do_not_run_and_padding_say_so) {
  SmallSample small;
  CHECK_EQUAL(small.run({1, 0}, -1).token, static_cast<std::int32_t>(notRunning));
  small.state.running = 0;
  CHECK_EQUAL(small.run({1, 0}).token, static_cast<std::int32_t>(notRunning));
  CHECK_EQUAL(small.after.position, 4);
}

TEST(logits_that_leave_no_choice_end_their_slot) {
  SmallSample small;
  CHECK_EQUAL(small.run({1, std::nanf("")}).token, static_cast<std::int32_t>(notNumbers));
  CHECK_EQUAL(small.after.running, 0);
  CHECK_EQUAL(small.run({-INFINITY, -INFINITY}).token, static_cast<std::int32_t>(noneLeft));
}

TEST(penalties_and_biases_move_the_choice) {
  SmallSample small;
  constexpr auto prompt = static_cast<std::int32_t>(0x80000000U);
  // The prompt's token counts for the penalty of repetitions alone.
  auto* counts = small.gpu.put<std::int32_t>({prompt, 0});
  small.sampling.counts = counts;
  small.sampling.presencePenalty = 5;
  CHECK_EQUAL(small.run({-3, -5}).token, 0);
  CHECK_EQUAL(counts[0], prompt + 1);
  CHECK_EQUAL(small.run({-3, -5}).token, 1);
  small.sampling.presencePenalty = 0;
  small.sampling.repetitionPenalty = 2;
  counts[1] = 0;
  CHECK_EQUAL(small.run({-3, -5}).token, 1);
  small.sampling.counts = nullptr;
  small.sampling.biases = 1;
  small.sampling.biasTokens = small.gpu.put<std::int32_t>({1});
  small.sampling.biasValues = small.gpu.put<float>({-INFINITY});
  CHECK_EQUAL(small.run({0, 100}).token, 0);
}

TEST(draws_follow_the_seed_and_the_position) {
  SmallSample small;
  small.sampling.temperature = 1;
  small.sampling.seed = 7;
  std::vector<int> times(3, 0);
  std::vector<std::int32_t> drawn;
  for (int position = 0; position < 300; ++position) {
    small.state.position = position;
    drawn.push_back(small.run({std::log(1.F), std::log(2.F), std::log(3.F)}).token);
    ++times[static_cast<std::size_t>(drawn.back())];
  }
  // 50, 100 and 150 are expected, with deviations of 6.5, 8.2 and 8.7.
  CHECK(std::abs(times[0] - 50) < 26 && std::abs(times[1] - 100) < 33 && std::abs(times[2] - 150) < 35);
  small.state.position = 17;
  CHECK_EQUAL(small.run({std::log(1.F), std::log(2.F), std::log(3.F)}).token, drawn[17]);
  small.sampling.topK = 1;
  CHECK_EQUAL(small.run({0, 1, 0}).token, 1);
  small.sampling.topK = 0;
  small.sampling.topP = 0.3F;
  CHECK_EQUAL(small.run({0, 1, 0}).token, 1);
  small.sampling.topP = 1;
  small.sampling.minP = 0.9F;
  CHECK_EQUAL(small.run({0, 1, 0}).token, 1);
}

TEST(logprobs_are_those_of_the_raw_distribution_most_likely_first) {
  SmallSample small;
  small.sampling.logprobs = 2;
  small.sampling.biases = 1;
  small.sampling.biasTokens = small.gpu.put<std::int32_t>({0});
  small.sampling.biasValues = small.gpu.put<float>({100});
  const TokenRecord record = small.run({std::log(1.F), std::log(3.F), std::log(4.F)});
  CHECK_EQUAL(record.token, 0);
  checkNear(record.logprob, std::log(1 / 8.F), 1e-5F);
  CHECK_EQUAL(record.topTokens[0], 2);
  CHECK_EQUAL(record.topTokens[1], 1);
  checkNear(record.topLogprobs[0], std::log(0.5F), 1e-5F);
}

TEST(kernels_are_captured_and_run_again_with_their_graph) {
  Gpu gpu;
  const auto* x = gpu.put(bfloats({1, 2}));
  const auto* weight = gpu.put(bfloats({2, 0, 0, 2}));
  LinearParameters p{};
  p.x = x;
  p.weight = weight;
  p.rows = 1;
  p.inner = 2;
  p.outer = 2;
  p.outputType = ElementType::bfloat16;
  auto* y = gpu.put(bfloats({0, 0}));
  p.y = y;
  const cuda::Graph graph =
      cuda::Graph::capture(gpu.stream, [&] { linear(*gpu.kernels, gpu.stream.handle(), ElementType::bfloat16, p); });
  CHECK(gpu.take<std::uint16_t>(y, 2) == bfloats({0, 0}));
  graph.launch(gpu.stream);
  CHECK(gpu.take<std::uint16_t>(y, 2) == bfloats({2, 4}));
}
