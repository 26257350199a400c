// Steps on the simulated driver, of a decoder whose parts are our kernels without TensorRT.
#include "decode/gpu/gpu_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "decode/scheduler.h"
#include "engines.h"
#include "halves.h"
#include "kernels/launch.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;
namespace kernels = tensorrt_node::kernels;
using namespace tensorrt_node::decode;

namespace {

constexpr std::int32_t width = 64;
constexpr std::int32_t vocabulary = 37;
constexpr std::int32_t layers = 2;

constexpr std::size_t at(std::int32_t index) {
  return static_cast<std::size_t>(index);
}

// One head, no rotation: q, k and v, attention, output, added to what came in.
class ToyPart final : public Part {
 public:
  ToyPart(std::size_t part, tensorrt_node::tensorrt::DeviceMemory memory)
      : part_(part),
        memory_(std::move(memory)),
        home_(memory_.context, "toy"),
        kernels_(kernels::Kernels::of(memory_.context)) {
    for (cuda::DeviceBlock& block : scratch_) block = memory_.device->allocate(at(256) * at(3 * width) * 2, home_);
  }
  void bind(const std::string& name, CUdeviceptr address) override { addresses_[name] = address; }
  void shape(const std::string& name, std::span<const std::int64_t> dims) override {
    shapes_[name].assign(dims.begin(), dims.end());
  }
  void enqueue(const cuda::Stream& stream) override {
    const cuda::Current current(*memory_.context);
    const auto to = stream.handle();
    constexpr auto type = kernels::ElementType::float16;
    if (part_ == 0) {
      kernels::embed(*kernels_, to, type,
                     {.tokens = of<const std::int32_t>("tokens"),
                      .table = of<const void>("table"),
                      .out = of<void>("hidden_out"),
                      .rows = rows("tokens"),
                      .width = width,
                      .vocabulary = vocabulary});
      return;
    }
    if (part_ == 2) {
      linear(to, of<const void>("hidden"), "head", nullptr, of<void>("logits"), rows("hidden"), width, vocabulary,
             kernels::ElementType::float32);
      return;
    }
    const std::int32_t count = rows("hidden");
    linear(to, of<const void>("hidden"), "qkv", nullptr, scratch(0), count, width, 3 * width, type);
    kernels::attention(*kernels_, to, type,
                       {.qkv = scratch(0),
                        .out = scratch(1),
                        .cos = nullptr,
                        .sin = nullptr,
                        .cache = of<const std::int64_t>("cache"),
                        .pages = of<const std::int32_t>("pages"),
                        .runStarts = of<const std::int32_t>("run_starts"),
                        .runSlots = of<const std::int32_t>("run_slots"),
                        .positions = of<const std::int32_t>("positions"),
                        .workspace = nullptr,
                        .rows = count,
                        .runs = static_cast<std::int32_t>(shapes_["run_slots"][0]),
                        .heads = 1,
                        .kvHeads = 1,
                        .headSize = width,
                        .rotarySize = 0,
                        .interleaved = 0,
                        .pagesPerSlot = static_cast<std::int32_t>(shapes_["pages"][1]),
                        .pageSize = pageTokens,
                        .window = 0,
                        .decode = count == static_cast<std::int32_t>(shapes_["run_slots"][0]) ? 1 : 0,
                        .splits = 1,
                        .scale = 0.125F,
                        .softcap = 0});
    linear(to, scratch(1), "o", of<const void>("hidden"), of<void>("hidden_out"), count, width, width, type);
  }

 private:
  template <typename T>
  T* of(const std::string& name) {
    return reinterpret_cast<T*>(addresses_.at(name));
  }
  void* scratch(std::size_t index) { return reinterpret_cast<void*>(scratch_[index].address()); }
  std::int32_t rows(const std::string& name) { return static_cast<std::int32_t>(shapes_.at(name)[0]); }
  void linear(CUstream stream, const void* x, const std::string& weight, const void* residual, void* y,
              std::int32_t count, std::int32_t inner, std::int32_t outer, kernels::ElementType output) {
    kernels::linear(*kernels_, stream, kernels::ElementType::float16,
                    {.x = x,
                     .weight = of<const void>(weight),
                     .bias = nullptr,
                     .residual = residual,
                     .y = y,
                     .rows = count,
                     .inner = inner,
                     .outer = outer,
                     .outputType = output});
  }

  const std::size_t part_;
  const tensorrt_node::tensorrt::DeviceMemory memory_;
  cuda::Stream home_;
  std::shared_ptr<const kernels::Kernels> kernels_;
  std::map<std::string, CUdeviceptr> addresses_;
  std::map<std::string, std::vector<std::int64_t>> shapes_;
  cuda::DeviceBlock scratch_[2];
};

class ToyFactory final : public PartFactory {
 public:
  explicit ToyFactory(tensorrt_node::tensorrt::DeviceMemory memory) : memory_(std::move(memory)) {}
  std::unique_ptr<Part> make(std::size_t part, Range range) override {
    ++made[range];
    return std::make_unique<ToyPart>(part, memory_);
  }

  // Parts made for each range.
  std::map<Range, int> made;

 private:
  const tensorrt_node::tensorrt::DeviceMemory memory_;
};

// Weights as the device has them, and as numbers for the reference.
struct Toy {
  tensorrt_node::tensorrt::DeviceMemory memory = test::memory();
  std::vector<std::vector<float>> values;
  DecoderModel model;

  Toy() {
    std::mt19937 random(7);
    model.hiddenSize = width;
    model.vocabulary = vocabulary;
    model.layers = layers;
    model.kvHeads = 1;
    model.headSize = width;
    model.parts = 3;
    const auto weight = [&](std::int32_t rows, float size) {
      std::normal_distribution<float> normal(0, size);
      std::vector<std::uint16_t> bits(at(rows) * at(width));
      std::vector<float> floats(bits.size());
      for (std::size_t i = 0; i < bits.size(); ++i) {
        bits[i] = test::toHalf(normal(random));
        floats[i] = test::fromHalf(bits[i]);
      }
      const cuda::Stream stream(memory.context, "toy");
      cuda::DeviceBlock block = memory.device->allocate(bits.size() * 2, stream);
      std::memcpy(reinterpret_cast<void*>(block.address()), bits.data(), bits.size() * 2);
      model.weights.push_back(std::move(block));
      values.push_back(std::move(floats));
      return model.weights.size() - 1;
    };
    model.runs.push_back({.part = 0, .layer = -1, .weights = {{"table", weight(vocabulary, 1)}}});
    for (std::int32_t layer = 0; layer < layers; ++layer)
      model.runs.push_back(
          {.part = 1, .layer = layer, .weights = {{"qkv", weight(3 * width, 0.2F)}, {"o", weight(width, 0.2F)}}});
    model.runs.push_back({.part = 2, .layer = -1, .weights = {{"head", weight(vocabulary, 0.3F)}}});
  }

  // Logits after the last token, in plain loops and without rounding in between.
  std::vector<float> logits(const std::vector<std::int32_t>& tokens) const {
    const auto product = [](const std::vector<float>& weight, const std::vector<float>& x, std::int32_t rows) {
      std::vector<float> y(at(rows), 0);
      for (std::size_t i = 0; i < y.size(); ++i)
        for (std::size_t k = 0; k < at(width); ++k) y[i] += weight[i * at(width) + k] * x[k];
      return y;
    };
    std::vector<std::vector<float>> hidden;
    for (const std::int32_t token : tokens) {
      const auto first = values[0].begin() + token * width;
      hidden.emplace_back(first, first + width);
    }
    for (std::size_t layer = 0; layer < layers; ++layer) {
      std::vector<std::vector<float>> qkv;
      for (const auto& x : hidden) qkv.push_back(product(values[1 + 2 * layer], x, 3 * width));
      for (std::size_t row = 0; row < hidden.size(); ++row) {
        std::vector<float> scores(row + 1, 0);
        for (std::size_t past = 0; past <= row; ++past)
          for (std::size_t k = 0; k < at(width); ++k) scores[past] += qkv[row][k] * qkv[past][at(width) + k] * 0.125F;
        const float most = *std::ranges::max_element(scores);
        float total = 0;
        for (float& score : scores) total += score = std::exp(score - most);
        std::vector<float> mixed(at(width), 0);
        for (std::size_t past = 0; past <= row; ++past)
          for (std::size_t k = 0; k < at(width); ++k) mixed[k] += scores[past] / total * qkv[past][2 * at(width) + k];
        const auto out = product(values[2 + 2 * layer], mixed, width);
        for (std::size_t k = 0; k < at(width); ++k) hidden[row][k] += out[k];
      }
    }
    return product(values.back(), hidden.back(), vocabulary);
  }
};

constexpr RunnerLimits limits{.slots = 5,
                              .pages = 24,
                              .pagesPerSlot = 4,
                              .prefillRows = 100,
                              .decodeRows = 4,
                              .scoreRows = 8,
                              .vocabulary = vocabulary};

std::vector<std::int32_t> prompt(std::int32_t length, std::int32_t seed) {
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < length; ++i) tokens.push_back((i * i + 3 * i * seed + seed) % vocabulary);
  return tokens;
}

// A token may be chosen if its logit is the largest, but for what rounding moves.
void checkGreedy(const Toy& toy, std::vector<std::int32_t> tokens, const std::vector<std::int32_t>& reply) {
  for (const std::int32_t token : reply) {
    const auto logits = toy.logits(tokens);
    const float most = *std::ranges::max_element(logits);
    if (most - logits[at(token)] > 0.05F * std::abs(most))
      throw check::Failure("token " + std::to_string(token) + " at " + std::to_string(tokens.size()) + " is " +
                           std::to_string(most - logits[at(token)]) + " below the largest logit");
    tokens.push_back(token);
  }
}

std::int32_t only(GpuRunner& runner, StepNumber step) {
  runner.wait(step);
  CHECK(runner.done(step));
  CHECK_EQUAL(runner.records(step).size(), 1U);
  return runner.records(step)[0].token;
}

}  // namespace

namespace {

void decodeTwoChunks(const GpuRunnerOptions& options, bool capture) {
  Toy toy;
  GpuRunner runner(toy.memory, std::move(toy.model), std::make_shared<ToyFactory>(toy.memory), options);
  if (capture) runner.capture([](std::size_t, std::size_t) {});
  const auto tokens = prompt(130, 1);
  const std::vector<Page> pages{7, 3, 11, 2};
  const Sampling sampling;
  runner.begin({.slot = 2, .pages = pages, .prompt = tokens, .maxNewTokens = 20, .sampling = sampling});
  runner.prefill(std::vector{PromptRun{2, 0, std::span(tokens).first(90), false}});
  std::vector<std::int32_t> reply{
      only(runner, runner.prefill(std::vector{PromptRun{2, 90, std::span(tokens).subspan(90), true}}))};
  const std::vector<std::int32_t> slots{2};
  for (int i = 0; i < 12; ++i) reply.push_back(only(runner, runner.decode(slots)));
  checkGreedy(toy, tokens, reply);
}

}  // namespace

TEST(gpu_runner_decodes_what_the_model_says) {
  // Prompts queued as they are, in graphs when they are wanted, and in graphs made before.
  decodeTwoChunks({.limits = limits, .capturedPromptRows = 0}, false);
  decodeTwoChunks({.limits = limits}, false);
  decodeTwoChunks({.limits = limits}, true);
}

TEST(gpu_runner_has_one_size_of_each_step_if_asked) {
  decodeTwoChunks({.limits = limits, .capturedPromptRows = 100, .oneSize = true}, true);
  Toy toy;
  const auto factory = std::make_shared<ToyFactory>(toy.memory);
  GpuRunner runner(toy.memory, std::move(toy.model), factory,
                   {.limits = limits, .capturedPromptRows = 100, .oneSize = true});
  std::vector<std::size_t> totals;
  runner.capture([&](std::size_t, std::size_t total) { totals.push_back(total); });
  // Steps of 4 streams, of 100 rows of prompts; ends of 1, 2 and 4 prompts.
  CHECK_EQUAL(totals.size(), 5U);
  CHECK_EQUAL(totals.front(), 5U);
}

TEST(gpu_runner_takes_wide_parts_above_a_few_rows) {
  Toy toy;
  const auto factory = std::make_shared<ToyFactory>(toy.memory);
  GpuRunner runner(toy.memory, std::move(toy.model), factory, {.limits = limits, .narrowRows = 2});
  const auto asked = prompt(3, 1);
  const Sampling sampling;
  for (std::int32_t slot = 0; slot < 3; ++slot)
    runner.begin(
        {.slot = slot, .pages = std::vector<Page>{slot}, .prompt = asked, .maxNewTokens = 9, .sampling = sampling});
  const auto made = [&](Range range) { return factory->made[range]; };
  runner.wait(runner.decode(std::vector{0, 1}));
  CHECK_EQUAL(made(Range::wide), 0);
  runner.wait(runner.decode(std::vector{0, 1, 2}));
  CHECK_EQUAL(made(Range::wide), 2);
  // What was made once serves.
  const auto before = factory->made;
  runner.wait(runner.decode(std::vector{0, 2}));
  runner.wait(runner.decode(std::vector{0, 1, 2}));
  CHECK(factory->made == before);
}

TEST(gpu_runner_ends_slots_and_says_so) {
  Toy toy;
  GpuRunner runner(toy.memory, std::move(toy.model), std::make_shared<ToyFactory>(toy.memory), {.limits = limits});
  const auto tokens = prompt(5, 2);
  const std::vector<Page> pages{1};
  const Sampling sampling;
  runner.begin({.slot = 0, .pages = pages, .prompt = tokens, .maxNewTokens = 2, .sampling = sampling});
  static_cast<void>(only(runner, runner.prefill(std::vector{PromptRun{0, 0, tokens, true}})));
  const std::vector<std::int32_t> slots{0};
  const StepNumber last = runner.decode(slots);
  const StepNumber wasted = runner.decode(slots);
  runner.wait(wasted);
  CHECK_EQUAL(runner.records(last)[0].finished, 1);
  CHECK_EQUAL(runner.records(wasted)[0].token, kernels::notRunning);
}

TEST(gpu_runner_gives_scores_of_all_rows_and_copies_pages) {
  Toy toy;
  GpuRunner runner(toy.memory, std::move(toy.model), std::make_shared<ToyFactory>(toy.memory), {.limits = limits});
  const auto tokens = prompt(8, 3);
  const Sampling sampling;
  runner.begin({.slot = 1, .pages = std::vector<Page>{5}, .prompt = tokens, .maxNewTokens = 1, .sampling = sampling});
  std::vector<float> logits(at(8 * vocabulary));
  runner.score({1, 0, tokens, true}, logits);
  for (std::size_t row = 0; row < 8; ++row) {
    const auto expected = toy.logits({tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(row) + 1});
    for (std::size_t i = 0; i < expected.size(); ++i)
      CHECK(std::abs(expected[i] - logits[row * expected.size() + i]) < 0.05F * (1 + std::abs(expected[i])));
  }
  // The last token again, of a copy of the page.
  runner.copyPage(5, 9);
  runner.begin({.slot = 3, .pages = std::vector<Page>{9}, .prompt = tokens, .maxNewTokens = 1, .sampling = sampling});
  std::vector<float> again(at(vocabulary));
  runner.score({3, 7, std::span(tokens).subspan(7), true}, again);
  CHECK(std::equal(again.begin(), again.end(), logits.end() - vocabulary));
}

TEST(gpu_runner_under_the_scheduler_gives_each_request_its_own_reply) {
  Toy toy;
  struct Replies final : Sink {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<RequestId, std::vector<std::int32_t>> tokens;
    std::size_t ended = 0;
    void deliver(std::vector<Batch> batches) noexcept override {
      const std::lock_guard lock(mutex);
      for (const Batch& batch : batches) {
        for (const Token& token : batch.tokens) tokens[batch.request].push_back(token.token);
        if (batch.ending) ++ended;
      }
      changed.notify_all();
    }
  };
  const auto sink = std::make_shared<Replies>();
  constexpr std::int32_t most = 4 * pageTokens;
  SchedulerOptions options;
  options.maxContext = most;
  const auto factory = std::make_shared<ToyFactory>(toy.memory);
  auto runner =
      std::make_unique<GpuRunner>(toy.memory, std::move(toy.model), factory, GpuRunnerOptions{.limits = limits});
  runner->capture([](std::size_t, std::size_t) {});
  const auto made = factory->made;
  Scheduler scheduler(std::move(runner), options, sink);
  constexpr RequestId count = 12;
  for (RequestId id = 0; id < count; ++id) {
    Request request;
    request.tokens = prompt(static_cast<std::int32_t>(3 + 17 * id), static_cast<std::int32_t>(id));
    request.maxNewTokens = 9;
    scheduler.submit(id, std::move(request));
  }
  {
    std::unique_lock lock(sink->mutex);
    sink->changed.wait(lock, [&] { return sink->ended == count; });
  }
  scheduler.stop(nullptr);
  // No stream waited for a graph.
  CHECK(factory->made == made);
  for (RequestId id = 0; id < count; ++id) {
    CHECK_EQUAL(sink->tokens[id].size(), 9U);
    checkGreedy(toy, prompt(static_cast<std::int32_t>(3 + 17 * id), static_cast<std::int32_t>(id)), sink->tokens[id]);
  }
}
