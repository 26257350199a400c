// A decoder from plans without weights: prompts in chunks, steps of several sequences, graphs.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cuda/graph.h"
#include "decoder_engine_toy.h"
#include "engines.h"
#include "halves.h"
#include "kernels/cache_type_name.h"
#include "tensorrt/block_execution.h"
#include "tensorrt/error.h"

namespace cuda = tensorrt_node::cuda;
namespace kernels = tensorrt_node::kernels;
namespace trt = tensorrt_node::tensorrt;
namespace toy = test::toy;
using kernels::CacheType;
using test::OnnxType;
using toy::Range;

namespace {

constexpr int slots = 3;
constexpr int pagesPerSlot = 2;
constexpr int pageCount = slots * pagesPerSlot;
constexpr int mostRows = 32;

// Rows of a run: `count` tokens of the sequence in `slot`, beginning with the one at `first`.
struct Run {
  int slot;
  int first;
  int count;
};

trt::RequestedProfile profileOf(int rows, bool block) {
  const auto upTo = [](std::int64_t most, std::vector<std::int64_t> rest, std::int64_t least = 1) {
    const auto with = [&](std::int64_t size) {
      std::vector<std::int64_t> dims{size};
      dims.insert(dims.end(), rest.begin(), rest.end());
      return dims;
    };
    return test::range(with(least), with(most), with(most));
  };
  trt::RequestedProfile profile{{"hidden", upTo(rows, {toy::width})}};
  if (!block) return profile;
  profile.insert({"pages", test::range({1, 1}, {slots, pagesPerSlot}, {slots, pagesPerSlot})});
  profile.insert({"run_starts", upTo(slots + 1, {}, 2)});
  profile.insert({"run_slots", upTo(slots, {})});
  profile.insert({"positions", upTo(rows, {})});
  return profile;
}

// The engines of one range.
struct Parts {
  Parts(OnnxType type, Range range, CacheType cache, const trt::DeviceMemory& memory) {
    const int rows = range == Range::decode ? slots : mostRows;
    prologue =
        test::load(test::planOf(toy::prologueModel(type), {{{"tokens", test::range({1}, {rows}, {rows})}}}), memory);
    block = test::load(
        test::planOf(toy::blockModel(type, range, toy::pageSize, kernels::nameOf(cache)), {profileOf(rows, true)}),
        memory);
    epilogue = test::load(test::planOf(toy::epilogueModel(type, range), {profileOf(rows, false)}), memory);
  }
  std::shared_ptr<const trt::Engine> prologue;
  std::shared_ptr<const trt::Engine> block;
  std::shared_ptr<const trt::Engine> epilogue;
};

class Decoder {
 public:
  Decoder(OnnxType type, CacheType cache)
      : type_(type), decode_(type, Range::decode, cache, memory_), prefill_(type, Range::prefill, cache, memory_) {
    const auto keep = [&](const toy::Matrix& matrix) { weights_.push_back({&matrix, upload(matrix)}); };
    for (const toy::Matrix* each : {&weightValues_.table, &weightValues_.norm, &weightValues_.head}) keep(*each);
    for (const auto& block : weightValues_.blocks)
      for (const toy::Matrix& each : block) keep(each);
    for (const toy::Matrix* each : {&weightValues_.cos, &weightValues_.sin})
      weights_.push_back({each, uploadBytes(each->values.data(), each->values.size() * sizeof(float))});
    const std::size_t pageBytes = kernels::cachePageBytes(cache, toy::kvHeads, toy::pageSize, toy::headSize);
    for (int layer = 0; layer < toy::layers; ++layer) {
      pages_.push_back(allocate(pageCount * pageBytes));
      pages_.push_back(allocate(pageCount * pageBytes));
      const std::vector<std::int64_t> addresses{static_cast<std::int64_t>(pages_[pages_.size() - 2].address()),
                                                static_cast<std::int64_t>(pages_.back().address())};
      caches_.push_back(uploadBytes(addresses.data(), 16));
    }
    // A slot's pages lie apart.
    pageTable_ = uploadInts({4, 1, 0, 5, 3, 2});
    for (auto* each : {&tokens_, &positions_, &runStarts_, &runSlots_}) *each = allocate((mostRows + 1) * 4);
    for (cuda::DeviceBlock& each : hidden_) each = allocate(mostRows * toy::width * 2);
    logits_ = allocate(mostRows * toy::vocabulary * 4);
  }

  const toy::Weights& weights() const { return weightValues_; }
  const cuda::Stream& stream() const { return stream_; }

  // What the next step is of, in place for it.
  void describe(const std::vector<std::vector<std::int32_t>>& sequences, const std::vector<Run>& runs) {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> positions;
    std::vector<std::int32_t> starts{0};
    std::vector<std::int32_t> runSlots;
    for (const Run& run : runs) {
      for (int i = 0; i < run.count; ++i) {
        tokens.push_back(
            run.slot < 0
                ? 0
                : sequences.at(static_cast<std::size_t>(run.slot)).at(static_cast<std::size_t>(run.first + i)));
        positions.push_back(run.first + i);
      }
      starts.push_back(static_cast<std::int32_t>(tokens.size()));
      runSlots.push_back(run.slot);
    }
    put(tokens_, tokens);
    put(positions_, positions);
    put(runStarts_, starts);
    put(runSlots_, runSlots);
  }

  // Executions for so many rows and runs, ready to be queued.
  class Step {
   public:
    Step(Decoder& decoder, Range range, int rows, int runs)
        : decoder_(decoder),
          rows_(rows),
          prologue_(parts(range).prologue, "prologue"),
          block_(parts(range).block, "block"),
          epilogue_(parts(range).epilogue, "epilogue") {
      const std::int64_t r = rows;
      const std::vector<trt::NamedShape> hidden{{"hidden", {r, toy::width}}};
      const std::vector<trt::NamedShape> tokens{{"tokens", {r}}};
      const std::vector<trt::NamedShape> block{{"hidden", {r, toy::width}},
                                               {"pages", {slots, pagesPerSlot}},
                                               {"run_starts", {runs + 1}},
                                               {"run_slots", {runs}},
                                               {"positions", {r}}};
      prologue_.setShapes(tokens, decoder.stream_);
      block_.setShapes(block, decoder.stream_);
      epilogue_.setShapes(hidden, decoder.stream_);
      const auto all = {&prologue_, &block_, &epilogue_};
      std::size_t bytes = 0;
      for (const auto* each : all) bytes = std::max(bytes, each->scratchBytes());
      scratch_ = decoder.allocate(bytes);
      for (auto* each : all) each->setScratch(scratch_.address(), scratch_.size());
    }

    void queue() {
      Decoder& d = decoder_;
      prologue_.setAddress("tokens", d.tokens_.address());
      prologue_.setAddress("table", d.addressOf(d.weightValues_.table));
      prologue_.setAddress("hidden_out", d.hidden_[0].address());
      prologue_.enqueue(d.stream_);
      block_.setAddress("cos", d.addressOf(d.weightValues_.cos));
      block_.setAddress("sin", d.addressOf(d.weightValues_.sin));
      block_.setAddress("pages", d.pageTable_.address());
      block_.setAddress("run_starts", d.runStarts_.address());
      block_.setAddress("run_slots", d.runSlots_.address());
      block_.setAddress("positions", d.positions_.address());
      for (std::size_t layer = 0; layer < toy::layers; ++layer) {
        for (const toy::Matrix& each : d.weightValues_.blocks[layer]) block_.setAddress(each.name, d.addressOf(each));
        block_.setAddress("cache", d.caches_[layer].address());
        // A plan's result never goes where its input is.
        block_.setAddress("hidden", d.hidden_[layer % 2].address());
        block_.setAddress("hidden_out", d.hidden_[(layer + 1) % 2].address());
        block_.enqueue(d.stream_);
      }
      epilogue_.setAddress("hidden", d.hidden_[toy::layers % 2].address());
      epilogue_.setAddress("norm", d.addressOf(d.weightValues_.norm));
      epilogue_.setAddress("head", d.addressOf(d.weightValues_.head));
      epilogue_.setAddress("logits", d.logits_.address());
      epilogue_.enqueue(d.stream_);
    }

    // After it was queued: the logits of each row.
    std::vector<std::vector<float>> logits() {
      Decoder& d = decoder_;
      const std::size_t bytes = epilogue_.bytes("logits");
      CHECK_EQUAL(bytes, static_cast<std::size_t>(rows_) * toy::vocabulary * 4);
      cuda::PinnedBlock to = d.memory_.pinned->allocate(bytes);
      const cuda::Current current(*d.memory_.context);
      CHECK_EQUAL(cuMemcpyDtoHAsync(to.data(), d.logits_.address(), bytes, d.stream_.handle()), CUDA_SUCCESS);
      d.stream_.synchronize();
      const auto all = test::elements<float>(to);
      std::vector<std::vector<float>> result;
      for (auto row = all.begin(); result.size() < static_cast<std::size_t>(rows_); row += toy::vocabulary)
        result.emplace_back(row, row + toy::vocabulary);
      return result;
    }

    trt::BlockExecution& block() { return block_; }

   private:
    const Parts& parts(Range range) const { return range == Range::decode ? decoder_.decode_ : decoder_.prefill_; }

    Decoder& decoder_;
    const int rows_;
    cuda::DeviceBlock scratch_;
    trt::BlockExecution prologue_;
    trt::BlockExecution block_;
    trt::BlockExecution epilogue_;
  };

 private:
  cuda::DeviceBlock allocate(std::size_t bytes) { return memory_.device->allocate(bytes, stream_); }

  // Waits, so that the pinned memory is free again.
  void copy(const cuda::DeviceBlock& to, const void* from, std::size_t bytes) {
    cuda::PinnedBlock block = memory_.pinned->allocate(bytes);
    cuda::noteHostAccess(block.data(), bytes, true);
    std::memcpy(block.data(), from, bytes);
    const cuda::Current current(*memory_.context);
    CHECK_EQUAL(cuMemcpyHtoDAsync(to.address(), block.data(), bytes, stream_.handle()), CUDA_SUCCESS);
    stream_.synchronize();
  }
  void put(const cuda::DeviceBlock& to, const std::vector<std::int32_t>& values) {
    copy(to, values.data(), values.size() * 4);
  }
  cuda::DeviceBlock uploadBytes(const void* from, std::size_t bytes) {
    cuda::DeviceBlock block = allocate(bytes);
    copy(block, from, bytes);
    return block;
  }
  cuda::DeviceBlock uploadInts(const std::vector<std::int32_t>& values) {
    return uploadBytes(values.data(), values.size() * 4);
  }
  cuda::DeviceBlock upload(const toy::Matrix& matrix) {
    const auto bits = type_ == OnnxType::float16 ? test::halves(matrix.values) : test::bfloats(matrix.values);
    return uploadBytes(bits.data(), bits.size() * 2);
  }
  CUdeviceptr addressOf(const toy::Matrix& matrix) const {
    return std::find_if(weights_.begin(), weights_.end(), [&](const auto& each) { return each.first == &matrix; })
        ->second.address();
  }

  const OnnxType type_;
  const toy::Weights weightValues_ = toy::makeWeights();
  const trt::DeviceMemory memory_ = test::memory();
  const cuda::Stream stream_{memory_.context, "decoder"};
  const Parts decode_;
  const Parts prefill_;
  std::vector<std::pair<const toy::Matrix*, cuda::DeviceBlock>> weights_;
  std::vector<cuda::DeviceBlock> pages_;
  std::vector<cuda::DeviceBlock> caches_;
  cuda::DeviceBlock pageTable_;
  cuda::DeviceBlock tokens_;
  cuda::DeviceBlock positions_;
  cuda::DeviceBlock runStarts_;
  cuda::DeviceBlock runSlots_;
  std::array<cuda::DeviceBlock, 2> hidden_;
  cuda::DeviceBlock logits_;
};

void compare(const std::vector<float>& row, const std::vector<double>& expected, double tolerance) {
  for (std::size_t i = 0; i < row.size(); ++i)
    if (!(std::fabs(static_cast<double>(row[i]) - expected[i]) <= tolerance))
      check::fail(
          __FILE__, __LINE__,
          "logit " + std::to_string(i) + " is " + std::to_string(row[i]) + ", expected " + std::to_string(expected[i]));
}

const std::vector<std::vector<std::int32_t>> texts{
    {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3}, {}, {2, 7, 1, 8, 2, 8, 1, 8, 2}};

// Prompts of 13 and 5 tokens, the first in two chunks, beside the other's; then steps, in a graph if `graph`.
void decode(OnnxType type, bool graph, double tolerance, CacheType cache = CacheType::plain) {
  Decoder decoder(type, cache);
  const auto first = toy::reference(decoder.weights(), texts[0]);
  const auto third = toy::reference(decoder.weights(), texts[2]);
  {
    Decoder::Step step(decoder, Range::prefill, 14, 2);
    decoder.describe(texts, {{0, 0, 9}, {2, 0, 5}});
    step.queue();
    const auto logits = step.logits();
    for (std::size_t i = 0; i < 9; ++i) compare(logits[i], first[i], tolerance);
    for (std::size_t i = 0; i < 5; ++i) compare(logits[9 + i], third[i], tolerance);
  }
  {
    Decoder::Step step(decoder, Range::prefill, 4, 1);
    decoder.describe(texts, {{0, 9, 4}});
    step.queue();
    const auto logits = step.logits();
    for (std::size_t i = 0; i < 4; ++i) compare(logits[i], first[9 + i], tolerance);
  }

  Decoder::Step step(decoder, Range::decode, 3, 3);
  std::optional<cuda::Graph> captured;
  for (int i = 0; i < 4; ++i) {
    // The first text crosses into its second page.
    decoder.describe(texts, {{0, 13 + i, 1}, {-1, 0, 1}, {2, 5 + i, 1}});
    if (captured) {
      captured->launch(decoder.stream());
    } else {
      step.queue();
    }
    const auto logits = step.logits();
    compare(logits[0], first[static_cast<std::size_t>(13 + i)], tolerance);
    compare(logits[2], third[static_cast<std::size_t>(5 + i)], tolerance);
    if (graph && !captured) captured.emplace(cuda::Graph::capture(decoder.stream(), [&] { step.queue(); }));
  }
}

}  // namespace

TEST(decoder_engines_agree_with_plain_loops) {
  decode(OnnxType::float16, false, 0.02);
}

TEST(decoder_engines_agree_in_bfloat16) {
  decode(OnnxType::bfloat16, false, 0.15);
}

TEST(decoder_engines_agree_with_keys_and_values_of_8_bits) {
  decode(OnnxType::float16, true, 0.05, CacheType::int8);
  decode(OnnxType::float16, true, 0.15, CacheType::float8);
}

TEST(decoder_engines_replay_in_a_graph) {
  decode(OnnxType::float16, true, 0.02);
}
