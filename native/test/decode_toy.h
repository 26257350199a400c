// A language model without a model, to test schedulers with: a token is a hash of all tokens before it, as they are
// read from the pages that the slot's row in the table of pages names. Whatever is wrong with pages, positions or the
// order of work shows in the tokens.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "decode/step_runner.h"

namespace test {

namespace decode = tensorrt_node::decode;
namespace kernels = tensorrt_node::kernels;

constexpr std::int32_t toyVocabulary = 1000;

struct ToyOptions {
  decode::RunnerLimits limits{.slots = 4,
                              .pages = 64,
                              .pagesPerSlot = 16,
                              .prefillRows = 256,
                              .decodeRows = 4,
                              .scoreRows = 8,
                              .vocabulary = toyVocabulary};
  std::size_t stepsInFlight = 3;
  // A step takes up to so long.
  std::chrono::microseconds slowest{0};
  // Called before each call by its name; what it throws, the call throws.
  std::function<void(const char* call)> before = [](const char*) {};
  // Whether pages are kept while it is suspended.
  bool keepsPages = true;
};

// What the toy model says with nothing in between: the reply that a request must get.
std::vector<std::int32_t> toyReply(std::vector<std::int32_t> tokens, std::int32_t maxNewTokens,
                                   const decode::Sampling& sampling);
// The logit of a token after these.
float toyLogit(std::span<const std::int32_t> tokens, std::int32_t token);

class ToyRunner final : public decode::StepRunner {
 public:
  explicit ToyRunner(ToyOptions options = {});
  ~ToyRunner() override;

  decode::RunnerLimits limits() const override { return options_.limits; }
  std::size_t stepsInFlight() const override { return options_.stepsInFlight; }
  void begin(const decode::SlotStart& start) override;
  void copyPage(decode::Page from, decode::Page to) override;
  decode::StepNumber prefill(std::span<const decode::PromptRun> runs) override;
  decode::StepNumber decode(std::span<const std::int32_t> slots) override;
  bool done(decode::StepNumber step) override;
  void wait(decode::StepNumber step) override;
  std::span<const kernels::TokenRecord> records(decode::StepNumber step) override;
  void score(const decode::PromptRun& run, std::span<float> logits) override;
  bool suspend(std::span<const decode::Page> pages, bool keepRam) override;
  void resume() override;
  decode::RunnerUsage usage() override { return {}; }
  // A layer of a millisecond for each slot, in each run.
  decode::StepLayers layers(const decode::StepLayersRequest& request, std::span<const std::int32_t> slots,
                            const std::function<bool()>& stopped) override;
  std::int32_t layerRows(decode::StepKind kind, std::int32_t rows) const override;

 private:
  // A token, and the position that it was written for.
  struct Cell {
    std::int32_t token = -1;
    std::int32_t position = -1;
  };
  struct Slot {
    std::vector<decode::Page> pages;
    decode::Sampling sampling;
    kernels::SlotState state{};
  };
  struct Run {
    std::int32_t slot;
    std::int32_t position;
    std::vector<std::int32_t> tokens;
    bool last;
  };

  // For the device's thread.
  void serve();
  Cell& cell(const Slot& slot, std::int32_t position);
  std::uint64_t hash(const Slot& slot, std::int32_t last);
  void write(const Run& run);
  kernels::TokenRecord choose(Slot& slot, std::int32_t position);
  void pause();

  void queue(std::function<void()> work);
  decode::StepNumber queueStep(std::function<std::vector<kernels::TokenRecord>()> work);

  const ToyOptions options_;
  // The device's.
  std::vector<Cell> cells_;
  std::vector<Slot> slots_;
  std::mt19937 random_{1};
  // By step, modulo stepsInFlight.
  std::vector<std::vector<kernels::TokenRecord>> records_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  decode::StepNumber queued_ = 0;
  decode::StepNumber done_ = 0;
  bool ending_ = false;
  bool suspended_ = false;
  std::thread thread_;
};

}  // namespace test
