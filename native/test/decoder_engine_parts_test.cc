// The runner on engines: prompts and steps of a decoder whose parts TensorRT runs.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "decode/gpu/engine_parts.h"
#include "decode/gpu/gpu_runner.h"
#include "decoder_engine_toy.h"
#include "engines.h"
#include "halves.h"

namespace cuda = tensorrt_node::cuda;
namespace decode = tensorrt_node::decode;
namespace trt = tensorrt_node::tensorrt;
namespace toy = test::toy;

namespace {

constexpr decode::RunnerLimits limits{.slots = 4,
                                      .pages = 8,
                                      .pagesPerSlot = 1,
                                      .prefillRows = 16,
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

std::vector<decode::PartEngines> enginesOf(const trt::DeviceMemory& memory) {
  std::vector<decode::PartEngines> engines(3);
  for (const auto range : {toy::Range::decode, toy::Range::prefill}) {
    const bool few = range == toy::Range::decode;
    const std::int64_t rows = few ? limits.decodeRows : limits.prefillRows;
    const trt::RequestedProfile hidden{{"hidden", upTo(rows, {toy::width})}};
    trt::RequestedProfile block = hidden;
    block.insert({"pages", upTo(limits.slots, {limits.pagesPerSlot})});
    block.insert({"run_starts", upTo(limits.slots + 1, {}, 2)});
    block.insert({"run_slots", upTo(limits.slots)});
    block.insert({"positions", upTo(rows)});
    const auto type = test::OnnxType::float16;
    const std::vector<std::string> plans{
        test::planOf(toy::prologueModel(type), {{{"tokens", upTo(rows)}}}),
        test::planOf(toy::blockModel(type, range, decode::pageTokens), {block}),
        test::planOf(toy::epilogueModel(type, range), {hidden}),
    };
    for (std::size_t part = 0; part < plans.size(); ++part)
      (few ? engines[part].decode : engines[part].prefill) = test::load(plans[part], memory);
  }
  return engines;
}

decode::DecoderModel modelOf(const toy::Weights& weights, const trt::DeviceMemory& memory) {
  decode::DecoderModel model;
  model.hiddenSize = toy::width;
  model.vocabulary = toy::vocabulary;
  model.layers = toy::layers;
  model.kvHeads = toy::kvHeads;
  model.headSize = toy::headSize;
  model.parts = 3;
  const cuda::Stream stream(memory.context, "weights");
  const auto upload = [&](const toy::Matrix& matrix, bool wide = false) -> decode::WeightInput {
    const auto bits = test::halves(matrix.values);
    const std::size_t bytes = matrix.values.size() * (wide ? 4 : 2);
    model.weights.push_back(memory.device->allocate(bytes, stream));
    stream.synchronize();
    // The simulated device's memory is the host's.
    std::memcpy(reinterpret_cast<void*>(model.weights.back().address()),
                wide ? static_cast<const void*>(matrix.values.data()) : bits.data(), bytes);
    return {matrix.name, model.weights.size() - 1};
  };
  const std::vector<decode::WeightInput> tables{upload(weights.cos, true), upload(weights.sin, true)};
  model.runs.push_back({.part = 0, .layer = -1, .weights = {upload(weights.table)}});
  for (std::int32_t layer = 0; layer < toy::layers; ++layer) {
    decode::PartRun run{.part = 1, .layer = layer, .weights = tables};
    for (const toy::Matrix& each : weights.blocks[static_cast<std::size_t>(layer)]) run.weights.push_back(upload(each));
    model.runs.push_back(std::move(run));
  }
  model.runs.push_back({.part = 2, .layer = -1, .weights = {upload(weights.norm), upload(weights.head)}});
  return model;
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

}  // namespace

TEST(decoder_engine_parts_decode_under_the_runner) {
  const trt::DeviceMemory memory = test::memory();
  const toy::Weights weights = toy::makeWeights();
  decode::GpuRunner runner(memory, modelOf(weights, memory),
                           std::make_shared<decode::EngineParts>(memory, enginesOf(memory)), {.limits = limits});
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
  const auto take = [&](decode::StepNumber step) {
    runner.wait(step);
    const auto records = runner.records(step);
    CHECK_EQUAL(records.size(), replies.size());
    for (std::size_t i = 0; i < replies.size(); ++i) replies[i].push_back(records[i].token);
  };
  take(runner.prefill(runs));
  for (int i = 0; i < 8; ++i) take(runner.decode(slots));
  for (std::size_t i = 0; i < prompts.size(); ++i) checkGreedy(weights, prompts[i], replies[i]);
}
