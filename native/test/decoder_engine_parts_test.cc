// The runner on engines: prompts and steps of a decoder whose parts TensorRT runs.
#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "decode/gpu/engine_parts.h"
#include "decode/gpu/gpu_runner.h"
#include "decoder_engine_toy.h"
#include "engines.h"
#include "halves.h"
#include "moving_weights.h"

namespace decode = tensorrt_node::decode;
namespace trt = tensorrt_node::tensorrt;
namespace toy = test::toy;

namespace {

constexpr decode::RunnerLimits limits{.slots = 4,
                                      .pages = 8,
                                      .pagesPerSlot = 1,
                                      .prefillRows = 40,
                                      .decodeRows = 4,
                                      .scoreRows = 8,
                                      .vocabulary = toy::vocabulary};

trt::RequestedRange upTo(std::int64_t most, std::vector<std::int64_t> rest = {}, std::int64_t least = 1) {
  std::vector<std::int64_t> smallest{least};
  std::vector<std::int64_t> largest{most};
  smallest.insert(smallest.end(), rest.begin(), rest.end());
  largest.insert(largest.end(), rest.begin(), rest.end());
  return test::range(smallest, largest, largest);
}

// Two rows are few, all four slots' are more.
constexpr std::int32_t narrowRows = 2;

std::shared_ptr<const trt::Engine> blockEngine(toy::Range range, const trt::DeviceMemory& memory) {
  const bool prompts = range == toy::Range::prefill;
  const std::int32_t rows = prompts ? limits.prefillRows : range == toy::Range::wide ? limits.decodeRows : narrowRows;
  // A captured step of prompts has a run more, of padding.
  const std::int32_t runs = prompts ? limits.slots + 1 : rows;
  const trt::RequestedProfile profile{{"hidden", upTo(rows, {toy::width})},
                                      {"pages", upTo(limits.slots, {limits.pagesPerSlot})},
                                      {"run_starts", upTo(runs + 1, {}, 2)},
                                      {"run_slots", upTo(runs)},
                                      {"positions", upTo(rows)}};
  return test::load(test::planOf(toy::blockModel(test::OnnxType::float16, range, decode::pageTokens), {profile}),
                    memory);
}

std::vector<decode::PartEngines> enginesOf(const trt::DeviceMemory& memory) {
  const auto type = test::OnnxType::float16;
  const auto prologue = test::planOf(toy::prologueModel(type), {{{"tokens", upTo(limits.prefillRows)}}});
  const auto epilogue =
      test::planOf(toy::epilogueModel(type, toy::Range::decode), {{{"hidden", upTo(limits.scoreRows, {toy::width})}}});
  return {{.decode = test::load(prologue, memory), .wide = nullptr, .prefill = nullptr},
          {.decode = blockEngine(toy::Range::decode, memory),
           .wide = blockEngine(toy::Range::wide, memory),
           .prefill = blockEngine(toy::Range::prefill, memory)},
          {.decode = test::load(epilogue, memory), .wide = nullptr, .prefill = nullptr}};
}

struct Model {
  decode::DecoderModel model;
  std::shared_ptr<test::MovingWeights> weights;
};

Model modelOf(const toy::Weights& weights, const trt::DeviceMemory& memory, std::set<std::size_t> streamed) {
  decode::DecoderModel model;
  std::vector<test::MovingWeights::Bytes> stored;
  model.hiddenSize = toy::width;
  model.vocabulary = toy::vocabulary;
  model.layers = toy::layers;
  model.kvHeads = toy::kvHeads;
  model.headSize = toy::headSize;
  model.parts = 3;
  const auto store = [&](const toy::Matrix& matrix, bool wide = false) -> decode::WeightInput {
    const auto bits = test::halves(matrix.values);
    const std::size_t bytes = matrix.values.size() * (wide ? 4 : 2);
    const auto* from = wide ? reinterpret_cast<const std::byte*>(matrix.values.data())
                            : reinterpret_cast<const std::byte*>(bits.data());
    stored.emplace_back(from, from + bytes);
    model.weightBytes.push_back(bytes);
    return {matrix.name, stored.size() - 1};
  };
  const std::vector<decode::WeightInput> tables{store(weights.cos, true), store(weights.sin, true)};
  model.runs.push_back({.part = 0, .layer = -1, .weights = {store(weights.table)}});
  for (std::int32_t layer = 0; layer < toy::layers; ++layer) {
    decode::PartRun run{.part = 1, .layer = layer, .weights = tables};
    for (const toy::Matrix& each : weights.blocks[static_cast<std::size_t>(layer)]) run.weights.push_back(store(each));
    model.runs.push_back(std::move(run));
  }
  model.runs.push_back({.part = 2, .layer = -1, .weights = {store(weights.norm), store(weights.head)}});
  std::vector<std::vector<std::size_t>> taken;
  for (const decode::PartRun& run : model.runs) {
    taken.emplace_back();
    for (const decode::WeightInput& input : run.weights) taken.back().push_back(input.weight);
  }
  return {std::move(model), std::make_shared<test::MovingWeights>(memory, stored, taken, std::move(streamed))};
}

// A token may be chosen if its logit is the largest, but for what rounding moves.
void checkGreedy(const toy::Weights& weights, std::vector<std::int32_t> tokens,
                 const std::vector<std::int32_t>& reply) {
  for (const std::int32_t token : reply) {
    const auto logits = toy::reference(weights, tokens).back();
    CHECK(token >= 0 && token < toy::vocabulary);
    CHECK(*std::max_element(logits.begin(), logits.end()) - logits[static_cast<std::size_t>(token)] < 0.02);
    tokens.push_back(token);
  }
}

void decodeUnderTheRunner(std::set<std::size_t> streamed) {
  const trt::DeviceMemory memory = test::memory();
  const toy::Weights weights = toy::makeWeights();
  Model model = modelOf(weights, memory, std::move(streamed));
  const auto parts = std::make_shared<decode::EngineParts>(memory, enginesOf(memory));
  decode::GpuRunner runner(memory, std::move(model.model), model.weights, parts,
                           {.limits = limits, .narrowRows = narrowRows});
  std::vector<std::size_t> captured;
  runner.capture([&](std::size_t done, std::size_t total) {
    captured.push_back(done);
    // Of 1, 2 and 4 streams; of 32 and 40 rows of prompts; of 1, 2 and 4 ends of them.
    CHECK_EQUAL(total, 8U);
  });
  CHECK_EQUAL(captured.size(), 8U);
  const std::vector<std::vector<std::int32_t>> prompts{{3, 1, 4, 1, 5, 9, 2}, {2, 7, 1}, {8, 2, 8, 1}};
  const std::vector<std::int32_t> slots{0, 1, 3};
  const decode::Sampling sampling;
  std::vector<decode::PromptRun> runs;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const std::vector<decode::Page> pages{static_cast<decode::Page>(5 - 2 * i)};
    runner.begin({.slot = slots[i], .pages = pages, .prompt = prompts[i], .maxNewTokens = 20, .sampling = sampling});
    runs.push_back({slots[i], 0, prompts[i], true});
  }
  std::vector<std::vector<std::int32_t>> replies(prompts.size());
  const auto take = [&](decode::StepNumber step, std::size_t streams) {
    runner.wait(step);
    const auto records = runner.records(step);
    CHECK_EQUAL(records.size(), streams);
    for (std::size_t i = 0; i < streams; ++i) replies[i].push_back(records[i].token);
  };
  take(runner.prefill(runs), 3);
  // Three are more than a few, two and one are not.
  for (int i = 0; i < 9; ++i) take(runner.decode(std::span(slots).first(3 - i % 3)), 3 - i % 3);
  // Graphs are good when the memory that they were captured with is there again.
  const std::vector<decode::Page> pages{1, 3, 5};
  const std::uint64_t scratch = parts->scratchBytes();
  CHECK(scratch > 0);
  CHECK(runner.suspend(pages, true));
  CHECK_EQUAL(parts->scratchBytes(), 0U);
  runner.resume();
  CHECK_EQUAL(parts->scratchBytes(), scratch);
  for (int i = 0; i < 3; ++i) take(runner.decode(std::span(slots).first(3 - i)), static_cast<std::size_t>(3 - i));
  for (std::size_t i = 0; i < prompts.size(); ++i) checkGreedy(weights, prompts[i], replies[i]);
}

}  // namespace

TEST(decoder_engine_parts_decode_under_the_runner) {
  decodeUnderTheRunner({});
}

TEST(decoder_engine_parts_decode_with_streamed_weights) {
  decodeUnderTheRunner({1, 2});
  decodeUnderTheRunner({2});
}
