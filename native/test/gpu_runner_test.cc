// Steps on the simulated driver, of a decoder whose parts are our kernels without TensorRT.
#include "decode/gpu/gpu_runner.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <future>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cuda/error.h"
#include "decode/scheduler.h"
#include "decode_replies.h"
#include "engines.h"
#include "files/error.h"
#include "halves.h"
#include "kernels/launch.h"
#include "moving_weights.h"
#include "simulated.h"
#include "tensorrt/error.h"

namespace cuda = tensorrt_node::cuda;
namespace kernels = tensorrt_node::kernels;
using namespace tensorrt_node::decode;

namespace {

constexpr std::int32_t width = 64;
constexpr std::int32_t vocabulary = 37;
constexpr std::int32_t layers = 3;

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
  void timeLayers(tensorrt_node::tensorrt::LayerProfiler& profiler) override { profiler_ = &profiler; }
  // Two layers, of a millisecond and as many as the part's number.
  void reportLayers() override {
    CHECK(last_->idle());
    profiler_->reportLayerTime("one", 1);
    profiler_->reportLayerTime("two", static_cast<float>(part_));
  }
  std::string layerInformation() const override { return "part " + std::to_string(part_); }
  void enqueue(const cuda::Stream& stream) override {
    last_ = &stream;
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
  tensorrt_node::tensorrt::LayerProfiler* profiler_ = nullptr;
  const cuda::Stream* last_ = nullptr;
};

class ToyFactory final : public PartFactory {
 public:
  explicit ToyFactory(tensorrt_node::tensorrt::DeviceMemory memory) : memory_(std::move(memory)) {}
  std::unique_ptr<Part> make(std::size_t part, Range range) override {
    ++made[range];
    return std::make_unique<ToyPart>(part, memory_);
  }
  std::uint64_t scratchBytes() const noexcept override { return 0; }
  void give() noexcept override { given = true; }
  void take() override { given = false; }

  bool given = false;
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
  std::shared_ptr<test::MovingWeights> weights;

  // `streamed`: runs, of which 1 to `layers` are blocks.
  explicit Toy(std::set<std::size_t> streamed = {}) {
    std::mt19937 random(7);
    model.hiddenSize = width;
    model.vocabulary = vocabulary;
    model.layers = layers;
    model.kvHeads = 1;
    model.headSize = width;
    model.parts = 3;
    std::vector<test::MovingWeights::Bytes> stored;
    const auto weight = [&](std::int32_t rows, float size) {
      std::normal_distribution<float> normal(0, size);
      std::vector<std::uint16_t> bits(at(rows) * at(width));
      std::vector<float> floats(bits.size());
      for (std::size_t i = 0; i < bits.size(); ++i) {
        bits[i] = test::toHalf(normal(random));
        floats[i] = test::fromHalf(bits[i]);
      }
      const auto* bytes = reinterpret_cast<const std::byte*>(bits.data());
      stored.emplace_back(bytes, bytes + bits.size() * 2);
      model.weightBytes.push_back(stored.back().size());
      values.push_back(std::move(floats));
      return stored.size() - 1;
    };
    model.runs.push_back({.part = 0, .layer = -1, .weights = {{"table", weight(vocabulary, 1)}}});
    for (std::int32_t layer = 0; layer < layers; ++layer)
      model.runs.push_back(
          {.part = 1, .layer = layer, .weights = {{"qkv", weight(3 * width, 0.2F)}, {"o", weight(width, 0.2F)}}});
    model.runs.push_back({.part = 2, .layer = -1, .weights = {{"head", weight(vocabulary, 0.3F)}}});
    std::vector<std::vector<std::size_t>> taken;
    for (const PartRun& run : model.runs) {
      taken.emplace_back();
      for (const WeightInput& input : run.weights) taken.back().push_back(input.weight);
    }
    weights = std::make_shared<test::MovingWeights>(memory, stored, taken, std::move(streamed));
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

void decodeTwoChunks(const GpuRunnerOptions& options, bool capture, std::set<std::size_t> streamed = {}) {
  Toy toy(std::move(streamed));
  GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory), options);
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

TEST(gpu_runner_decodes_with_streamed_weights) {
  // All, one after another or alone, and the first and the last of them.
  for (const std::set<std::size_t>& streamed :
       std::vector<std::set<std::size_t>>{{1, 2, 3}, {2}, {1, 3}, {1, 2}, {2, 3}}) {
    decodeTwoChunks({.limits = limits, .capturedPromptRows = 0}, false, streamed);
    decodeTwoChunks({.limits = limits}, true, streamed);
  }
}

TEST(gpu_runner_times_the_layers_of_its_parts_beside_what_it_runs) {
  for (const std::set<std::size_t>& streamed : std::vector<std::set<std::size_t>>{{}, {2}, {1, 2, 3}}) {
    Toy toy(streamed);
    GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory),
                     {.limits = limits});
    runner.capture([](std::size_t, std::size_t) {});
    const auto tokens = prompt(40, 1);
    const Sampling sampling;
    const auto begin = [&](std::int32_t slot, Page page) {
      runner.begin(
          {.slot = slot, .pages = std::vector<Page>{page}, .prompt = tokens, .maxNewTokens = 9, .sampling = sampling});
    };
    const auto reply = [&] {
      begin(1, 4);
      std::vector<std::int32_t> said{only(runner, runner.prefill(std::vector{PromptRun{1, 0, tokens, true}}))};
      for (int i = 0; i < 5; ++i) said.push_back(only(runner, runner.decode(std::vector{1})));
      return said;
    };
    const auto whole = reply();
    for (std::int32_t slot = 0; slot < 4; ++slot) begin(slot, slot);
    CHECK_EQUAL(runner.layerRows(StepKind::decode, 3), 4);
    CHECK_EQUAL(runner.layerRows(StepKind::decode, 5), 0);
    for (const StepKind kind : {StepKind::decode, StepKind::prefill}) {
      const bool decoding = kind == StepKind::decode;
      const StepLayers timed = runner.layers({.kind = kind, .rows = decoding ? 4 : 20, .context = 30, .runs = 2},
                                             std::vector{0, 1, 2, 3}, [] { return false; });
      CHECK_EQUAL(timed.rows, decoding ? 4 : 32);
      CHECK_EQUAL(timed.steps.size(), 2U);
      CHECK_EQUAL(timed.parts.size(), 3U);
      for (std::size_t part = 0; part < 3; ++part) {
        const PartLayers& found = timed.parts[part];
        CHECK_EQUAL(found.part, part);
        CHECK_EQUAL(found.count, part == 1 ? at(layers) : 1U);
        CHECK_EQUAL(found.information, "part " + std::to_string(part));
        CHECK_EQUAL(found.layers.size(), 2U);
        CHECK(found.layers[0].milliseconds == std::vector<float>(2 * found.count, 1));
        CHECK(found.layers[1].milliseconds == std::vector<float>(2 * found.count, static_cast<float>(part)));
      }
    }
    CHECK_THROWS(runner.layers({}, std::vector{0}, [] { return true; }), tensorrt_node::tensorrt::AbortedError);
    CHECK(reply() == whole);
  }
}

TEST(gpu_runner_launches_one_graph_a_step_unless_weights_are_streamed) {
  const auto launches = [](std::set<std::size_t> streamed) {
    Toy toy(std::move(streamed));
    GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory),
                     {.limits = limits});
    runner.capture([](std::size_t, std::size_t) {});
    const Sampling sampling;
    runner.begin(
        {.slot = 0, .pages = std::vector<Page>{0}, .prompt = prompt(2, 1), .maxNewTokens = 9, .sampling = sampling});
    const auto before = simulatorCalls("cuGraphLaunch");
    runner.wait(runner.decode(std::vector{0}));
    return simulatorCalls("cuGraphLaunch") - before;
  };
  CHECK_EQUAL(launches({}), 1U);
  // Of three blocks the second: what is before it, it, and what is behind.
  CHECK_EQUAL(launches({2}), 3U);
  // Prologue, three blocks, epilogue.
  CHECK_EQUAL(launches({1, 2, 3}), 5U);
  // The epilogue's graph holds what is before it.
  CHECK_EQUAL(launches({1, 2}), 4U);
}

TEST(gpu_runner_tells_of_which_parts_a_step_is) {
  namespace profile = tensorrt_node::profile;
  Toy toy(std::set<std::size_t>{});
  std::uint64_t bytes = 0;
  for (const std::uint64_t each : toy.model.weightBytes) bytes += each;
  GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory),
                   {.limits = limits});
  const Sampling sampling;
  runner.begin(
      {.slot = 0, .pages = std::vector<Page>{0}, .prompt = prompt(2, 1), .maxNewTokens = 9, .sampling = sampling});
  profile::StepQueue::instance().open(false);
  {
    const profile::Step step(profile::Phase::decode, std::make_shared<const std::string>("toy"), 1);
    runner.wait(runner.decode(std::vector{0}));
  }
  profile::StepQueue::instance().close();
  const auto steps = profile::StepQueue::instance().take();
  CHECK_EQUAL(steps.size(), 1U);
  CHECK(steps[0].bytesRead > 0 && steps[0].bytesRead <= bytes);
  // One range for all of it, as one graph is launched.
  CHECK_EQUAL(steps[0].parts.size(), 1U);
  std::string names;
  for (const profile::GraphPart& part : *steps[0].parts[0]) {
    CHECK(part.work > 0);
    names += part.name + "; ";
  }
  CHECK_EQUAL(names, "prologue; layer 0; layer 1; layer 2; epilogue; sampling; ");
}

TEST(gpu_runner_refuses_to_stream_what_has_no_place) {
  for (const std::size_t run : {std::size_t{0}, std::size_t{layers + 1}}) {
    Toy toy({run});
    CHECK_THROWS((GpuRunner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory),
                            {.limits = limits}),
                  0),
                 std::invalid_argument);
  }
}

// The test of the test: without the event a place is overwritten under the work that reads it.
TEST(gpu_runner_streams_into_places_that_are_free) {
  for (const bool mistaken : {false, true}) {
    Toy toy({1, 2, 3});
    test::slowDown(20'000);
    GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory),
                     {.limits = limits});
    runner.capture([](std::size_t, std::size_t) {});
    const Sampling sampling;
    runner.begin(
        {.slot = 0, .pages = std::vector<Page>{0}, .prompt = prompt(2, 1), .maxNewTokens = 9, .sampling = sampling});
    toy.weights->leaveReleases = mistaken;
    runner.wait(runner.decode(std::vector{0}));
    const auto found = test::takeFindings();
    CHECK_EQUAL(!found.empty(), mistaken);
    for (const auto& each : found) CHECK_EQUAL(each.kind, SIMULATOR_RACE);
  }
}

TEST(gpu_runner_loses_a_step_whose_weights_do_not_come) {
  Toy toy({1, 2, 3});
  GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory),
                   {.limits = limits});
  runner.capture([](std::size_t, std::size_t) {});
  const auto tokens = prompt(40, 1);
  const Sampling sampling;
  const auto reply = [&] {
    runner.begin({.slot = 1, .pages = std::vector<Page>{4}, .prompt = tokens, .maxNewTokens = 9, .sampling = sampling});
    std::vector<std::int32_t> said{only(runner, runner.prefill(std::vector{PromptRun{1, 0, tokens, true}}))};
    for (int i = 0; i < 5; ++i) said.push_back(only(runner, runner.decode(std::vector{1})));
    return said;
  };
  std::size_t failing = 0;
  toy.weights->beforeAcquire = [&](std::size_t run) {
    if (run == failing) throw tensorrt_node::files::FileError("pread", "model.onnx_data", EIO);
  };
  const auto whole = reply();
  checkGreedy(toy, tokens, whole);
  std::vector<float> logits(at(8 * vocabulary));
  for (failing = 1; failing <= at(layers); ++failing) {
    const auto lost = CHECK_THROWS(runner.decode(std::vector{1}), StepLostError);
    CHECK_THROWS(std::rethrow_exception(lost.cause()), tensorrt_node::files::FileError);
    CHECK_THROWS(runner.prefill(std::vector{PromptRun{1, 0, tokens, true}}), StepLostError);
    CHECK_THROWS((runner.score({1, 0, std::span(tokens).first(8), false}, logits), 0), StepLostError);
    const std::size_t now = std::exchange(failing, 0);
    CHECK(reply() == whole);
    failing = now;
  }
  // What was asked for before the first run as well; other errors are no step's alone.
  failing = 0;
  toy.weights->beforeBegin = [] { throw cuda::CudaError(CUDA_ERROR_OUT_OF_MEMORY, "cuMemAlloc", "for a test"); };
  CHECK_THROWS(runner.decode(std::vector{1}), StepLostError);
  toy.weights->beforeBegin = [] { throw cuda::CudaError(CUDA_ERROR_LAUNCH_FAILED, "cuEventRecord", "for a test"); };
  CHECK_THROWS(runner.decode(std::vector{1}), cuda::CudaError);
}

TEST(gpu_runner_comes_back_with_the_pages_that_it_was_to_keep) {
  for (const std::set<std::size_t>& streamed : std::vector<std::set<std::size_t>>{{}, {1, 2, 3}}) {
    Toy toy(streamed);
    GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory),
                     {.limits = limits});
    runner.capture([](std::size_t, std::size_t) {});
    const auto tokens = prompt(130, 1);
    const std::vector<Page> pages{7, 8, 11, 2};
    const Sampling sampling;
    runner.begin({.slot = 2, .pages = pages, .prompt = tokens, .maxNewTokens = 20, .sampling = sampling});
    runner.wait(runner.prefill(std::vector{PromptRun{2, 0, std::span(tokens).first(100), false}}));
    const auto before = runner.usage();
    CHECK(before.cache > 0 && before.scratch > 0);
    std::size_t freeBefore = 0;
    std::size_t total = 0;
    {
      const cuda::Current current(*toy.memory.context);
      CHECK_EQUAL(cuMemGetInfo(&freeBefore, &total), CUDA_SUCCESS);
    }
    for (int round = 0; round < 3; ++round) {
      CHECK(runner.suspend(pages, true));
      CHECK(toy.weights->evicted);
      CHECK_EQUAL(runner.usage().cache, 0U);
      // Four pages of 64 tokens, of 64 halves, keys and values.
      CHECK_EQUAL(runner.usage().savedCache, 4U * 64 * 64 * 2 * 2 * layers);
      const cuda::Current current(*toy.memory.context);
      std::size_t freeNow = 0;
      CHECK_EQUAL(cuMemGetInfo(&freeNow, &total), CUDA_SUCCESS);
      CHECK_EQUAL(freeNow - freeBefore, before.cache + before.scratch);
      runner.resume();
      CHECK_EQUAL(runner.usage().savedCache, 0U);
      CHECK_EQUAL(runner.usage().cache, before.cache);
    }
    // The prompt goes on where it was.
    std::vector<std::int32_t> reply{
        only(runner, runner.prefill(std::vector{PromptRun{2, 100, std::span(tokens).subspan(100), true}}))};
    for (int i = 0; i < 6; ++i) reply.push_back(only(runner, runner.decode(std::vector{2})));
    checkGreedy(toy, tokens, reply);
  }
}

TEST(gpu_runner_that_cannot_be_suspended_or_resumed_is_what_it_was) {
  Toy toy;
  GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory),
                   {.limits = limits});
  runner.capture([](std::size_t, std::size_t) {});
  const auto tokens = prompt(30, 1);
  const std::vector<Page> pages{3};
  const Sampling sampling;
  runner.begin({.slot = 2, .pages = pages, .prompt = tokens, .maxNewTokens = 20, .sampling = sampling});
  std::vector<std::int32_t> reply{only(runner, runner.prefill(std::vector{PromptRun{2, 0, tokens, true}}))};
  const auto outOfMemory = [] { throw cuda::CudaError(CUDA_ERROR_OUT_OF_MEMORY, "cuMemHostAlloc", "for a test"); };
  toy.weights->beforeEvict = [&](bool) { outOfMemory(); };
  CHECK_THROWS(runner.suspend(pages, true), cuda::CudaError);
  reply.push_back(only(runner, runner.decode(std::vector{2})));

  toy.weights->beforeEvict = [](bool keepRam) { CHECK(!keepRam); };
  CHECK(runner.suspend(pages, false));
  toy.weights->beforeRestore = outOfMemory;
  CHECK_THROWS((runner.resume(), 0), cuda::CudaError);
  toy.weights->beforeRestore = [] {};
  // Of the cache, then of what steps compute in.
  for (const std::uint64_t nth : {1U, 2U}) {
    simulatorFail("cuMemCreate", nth, 1, CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQUAL(CHECK_THROWS((runner.resume(), 0), cuda::CudaError).result(), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQUAL(runner.usage().cache, 0U);
  }
  runner.resume();
  for (int i = 0; i < 3; ++i) reply.push_back(only(runner, runner.decode(std::vector{2})));
  checkGreedy(toy, tokens, reply);

  // Without memory to keep them in, pages are lost and all else is well.
  simulatorFail("cuMemHostAlloc", 1, 1, CUDA_ERROR_OUT_OF_MEMORY);
  toy.memory.pinned->trim();
  CHECK(!runner.suspend(pages, false));
  CHECK_EQUAL(runner.usage().savedCache, 0U);
  runner.resume();
  runner.begin({.slot = 2, .pages = pages, .prompt = tokens, .maxNewTokens = 20, .sampling = sampling});
  CHECK_EQUAL(only(runner, runner.prefill(std::vector{PromptRun{2, 0, tokens, true}})), reply[0]);
}

TEST(gpu_runner_stays_where_the_driver_cannot_move_memory) {
  SimulatorConfig config = simulatorDefaults();
  config.virtualMemory = 0;
  simulatorConfigure(&config);
  Toy toy;
  GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory),
                   {.limits = limits});
  CHECK_EQUAL(CHECK_THROWS(runner.suspend({}, true), cuda::CudaError).result(), CUDA_ERROR_NOT_SUPPORTED);
  const auto tokens = prompt(30, 1);
  const Sampling sampling;
  runner.begin({.slot = 2, .pages = std::vector<Page>{3}, .prompt = tokens, .maxNewTokens = 20, .sampling = sampling});
  checkGreedy(toy, tokens, {only(runner, runner.prefill(std::vector{PromptRun{2, 0, tokens, true}}))});
}

TEST(gpu_runner_has_one_size_of_each_step_if_asked) {
  decodeTwoChunks({.limits = limits, .capturedPromptRows = 100, .oneSize = true}, true);
  Toy toy;
  const auto factory = std::make_shared<ToyFactory>(toy.memory);
  GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, factory,
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
  GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, factory, {.limits = limits, .narrowRows = 2});
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
  GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory),
                   {.limits = limits});
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
  GpuRunner runner(toy.memory, std::move(toy.model), toy.weights, std::make_shared<ToyFactory>(toy.memory),
                   {.limits = limits});
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

namespace {

void repliesUnderTheScheduler(std::set<std::size_t> streamed) {
  Toy toy(std::move(streamed));
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
  auto runner = std::make_unique<GpuRunner>(toy.memory, std::move(toy.model), toy.weights, factory,
                                            GpuRunnerOptions{.limits = limits});
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

}  // namespace

TEST(gpu_runner_under_the_scheduler_gives_each_request_its_own_reply) {
  repliesUnderTheScheduler({});
  repliesUnderTheScheduler({1, 2, 3});
  repliesUnderTheScheduler({2});
}

// Requests that come and go, weights that do not come, and suspensions, while the device is as slow as chance has it.
TEST(gpu_runner_streams_under_requests_of_all_kinds) {
  Toy toy({1, 3});
  test::slowDown(500, 5'000, 3);
  // The scheduler's thread.
  std::mt19937 failures(9);
  std::atomic<int> lost = 0;
  toy.weights->beforeAcquire = [&](std::size_t) {
    if (failures() % 40 != 0) return;
    ++lost;
    throw tensorrt_node::files::FileError("pread", "model.onnx_data", EIO);
  };
  const auto replies = std::make_shared<test::Replies>();
  SchedulerOptions options;
  options.maxContext = 4 * pageTokens;
  options.stepsInFlight = 1;
  auto runner =
      std::make_unique<GpuRunner>(toy.memory, std::move(toy.model), toy.weights,
                                  std::make_shared<ToyFactory>(toy.memory), GpuRunnerOptions{.limits = limits});
  runner->capture([](std::size_t, std::size_t) {});
  Scheduler scheduler(std::move(runner), options, replies);
  replies->heard = [&](const Batch& batch) {
    scheduler.consumed(batch.request, static_cast<std::int32_t>(batch.tokens.size()));
  };
  constexpr RequestId count = 30;
  std::mt19937 random(4);
  int suspended = 0;
  // Beginnings are shared by some.
  const auto asked = [](RequestId id) {
    return prompt(static_cast<std::int32_t>(3 + 9 * (id % 9)), static_cast<std::int32_t>(id % 5));
  };
  for (RequestId id = 0; id < count; ++id) {
    Request request;
    request.tokens = asked(id);
    request.maxNewTokens = 6;
    scheduler.submit(id, std::move(request));
    if (random() % 4 == 0) {
      replies->tokens(id, random() % 3);
      scheduler.abort(id);
    }
    if (random() % 8 != 0) continue;
    std::promise<bool> settled;
    scheduler.suspend({.finishRunning = true, .keepRam = true},
                      [&](std::exception_ptr error) { settled.set_value(!error); });
    if (settled.get_future().get()) ++suspended;
  }
  int whole = 0;
  int failed = 0;
  for (RequestId id = 0; id < count; ++id) {
    const auto reply = replies->ended(id);
    checkGreedy(toy, asked(id), reply.tokens);
    if (reply.end() == "length") {
      CHECK_EQUAL(reply.tokens.size(), 6U);
      ++whole;
    } else if (reply.end() != "aborted") {
      CHECK_EQUAL(reply.error<tensorrt_node::files::FileError>().number(), EIO);
      ++failed;
    }
  }
  const auto stats = scheduler.stats();
  scheduler.stop(nullptr);
  CHECK_EQUAL(replies->broken(), "");
  CHECK(whole > 0 && failed > 0 && suspended > 0);
  CHECK_EQUAL(stats.lostSteps, static_cast<std::uint64_t>(lost.load()));
  CHECK_EQUAL(stats.slotsInUse, 0U);
  CHECK_EQUAL(stats.pagesInUse, 0U);
}
