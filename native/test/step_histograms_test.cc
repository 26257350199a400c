// What is counted of steps: their time, their rows, and what they waited for weights.
#include "decode/step_histograms.h"

#include <numeric>

#include "check.h"
#include "decode/decode_loop.h"

namespace decode = tensorrt_node::decode;
namespace kernels = tensorrt_node::kernels;

namespace {

// Each step is done at once, and a decode step has waited for weights for 2 ms.
class WaitingRunner final : public decode::StepRunner {
 public:
  decode::RunnerLimits limits() const override {
    return {
        .slots = 2, .pages = 16, .pagesPerSlot = 8, .prefillRows = 4, .decodeRows = 2, .scoreRows = 4, .vocabulary = 9};
  }
  std::size_t stepsInFlight() const override { return 2; }
  void begin(const decode::SlotStart&) override {}
  void copyPage(decode::Page, decode::Page) override {}
  decode::StepNumber prefill(std::span<const decode::PromptRun>) override { return ++last_; }
  decode::StepNumber decode(std::span<const std::int32_t>) override {
    usage_.moved.blocks += 3;
    usage_.moved.computeWaitSeconds += 0.0015;
    usage_.moved.hostWaitSeconds += 0.0005;
    return ++last_;
  }
  bool done(decode::StepNumber) override { return true; }
  void wait(decode::StepNumber) override {}
  std::span<const kernels::TokenRecord> records(decode::StepNumber) override { return records_; }
  void score(const decode::PromptRun&, std::span<float>) override {}
  bool suspend(std::span<const decode::Page>, bool) override { return true; }
  void resume() override {}
  decode::RunnerUsage usage() override { return usage_; }
  decode::StepLayers layers(const decode::StepLayersRequest&, std::span<const std::int32_t>,
                            const std::function<bool()>&) override {
    return {};
  }
  std::int32_t layerRows(decode::StepKind, std::int32_t rows) const override { return rows; }

 private:
  decode::StepNumber last_ = 0;
  std::vector<kernels::TokenRecord> records_ = std::vector<kernels::TokenRecord>(2);
  decode::RunnerUsage usage_;
};

template <std::size_t Size>
std::uint64_t total(const decode::Histogram<Size>& histogram) {
  return std::accumulate(histogram.counts().begin(), histogram.counts().end(), std::uint64_t{0});
}

}  // namespace

TEST(histogram_counts_a_value_below_the_bound_that_it_equals_and_others_below_the_next) {
  decode::Histogram<decode::rowBounds.size()> rows(decode::rowBounds);
  for (const double value : {0.5, 1.0, 1.5, 2.0, 512.0, 513.0}) rows.observe(value);
  CHECK_EQUAL(rows.counts()[0], 2U);
  CHECK_EQUAL(rows.counts()[1], 2U);
  CHECK_EQUAL(rows.counts()[9], 1U);
  CHECK_EQUAL(rows.counts()[10], 1U);
  CHECK_EQUAL(rows.sum(), 1030.0);
}

TEST(step_histograms_have_each_step_that_is_done) {
  WaitingRunner runner;
  decode::DecodeLoop loop(runner, {.maxContext = 100, .stepsInFlight = 2, .policy = {}});
  for (decode::RequestId id = 1; id <= 2; ++id) {
    decode::Request request;
    request.tokens = {static_cast<std::int32_t>(id), 1, 1, 1, 1, 1};
    request.maxNewTokens = 5;
    loop.apply(decode::SubmitCommand{id, std::move(request), decode::Clock::now()});
  }
  while (loop.advance()) loop.settle();
  const decode::SchedulerStats stats = loop.stats();
  const decode::StepHistograms& all = stats.histograms;
  CHECK(stats.prefillSteps >= 3 && stats.decodeSteps >= 4);
  CHECK_EQUAL(total(all.prefillSeconds), stats.prefillSteps);
  CHECK_EQUAL(total(all.decodeSeconds), stats.decodeSteps);
  CHECK_EQUAL(total(all.decodeRows), stats.decodeSteps);
  CHECK_EQUAL(all.decodeRows.sum(), static_cast<double>(stats.decodeRows));
  CHECK(all.prefillSeconds.sum() >= 0 && all.decodeSeconds.sum() >= 0);
  // From when weights first moved.
  CHECK(total(all.weightsWaitSeconds) >= stats.decodeSteps);
  const double waited = 0.002 * static_cast<double>(stats.decodeSteps);
  CHECK(all.weightsWaitSeconds.sum() > 0.999 * waited && all.weightsWaitSeconds.sum() < 1.001 * waited);
}
