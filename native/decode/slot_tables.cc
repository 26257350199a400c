#include "slot_tables.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "../cuda/copy.h"

namespace tensorrt_node::decode {
namespace {

// Parts of a pinned block, one after the other, each where any of our types may be.
class Layout {
 public:
  std::size_t add(std::size_t bytes) noexcept {
    const std::size_t offset = size_;
    size_ += (bytes + alignment - 1) / alignment * alignment;
    return offset;
  }
  std::size_t size() const noexcept { return size_; }

 private:
  static constexpr std::size_t alignment = 16;
  std::size_t size_ = 0;
};

bool hasPenalties(const Sampling& sampling) noexcept {
  return sampling.repetitionPenalty != 1 || sampling.presencePenalty != 0 || sampling.frequencyPenalty != 0;
}

template <typename Element>
void write(const cuda::PinnedBlock& block, std::size_t offset, std::span<const Element> elements) {
  if (!elements.empty()) std::memcpy(block.data() + offset, elements.data(), elements.size_bytes());
}

template <typename Element>
std::span<const Element> one(const Element& element) noexcept {
  return {&element, 1};
}

}  // namespace

SlotTables::SlotTables(const RunnerLimits& limits, const cuda::Stream& stream, std::shared_ptr<cuda::DevicePool> device,
                       std::shared_ptr<cuda::PinnedPool> pinned)
    : limits_(limits),
      stream_(stream.share()),
      device_(std::move(device)),
      pinned_(std::move(pinned)),
      lists_(static_cast<std::size_t>(limits.slots)) {
  const auto table = [&](std::size_t bytes) {
    cuda::DeviceBlock block = device_->allocate(lists_.size() * bytes, stream_);
    cuda::fill(stream_, block, 0, block.size(), 0);
    return block;
  };
  pages_ = table(static_cast<std::size_t>(limits.pagesPerSlot) * sizeof(std::int32_t));
  states_ = table(sizeof(kernels::SlotState));
  sampling_ = table(sizeof(kernels::SlotSampling));
}

void SlotTables::begin(const SlotStart& start) {
  const auto slot = static_cast<std::size_t>(start.slot);
  const auto pagesPerSlot = static_cast<std::size_t>(limits_.pagesPerSlot);
  if (slot >= lists_.size() || start.pages.size() > pagesPerSlot)
    throw std::out_of_range("slot " + std::to_string(start.slot) + " with " + std::to_string(start.pages.size()) +
                            " pages, of " + std::to_string(lists_.size()) + " with " + std::to_string(pagesPerSlot));
  const Sampling& sampling = start.sampling;
  const std::size_t biases = sampling.bias.size();
  const std::size_t stops = sampling.stopTokens.size();
  const std::size_t listBytes = (2 * biases + stops) * sizeof(std::int32_t);
  const std::size_t countBytes =
      hasPenalties(sampling) ? static_cast<std::size_t>(limits_.vocabulary) * sizeof(std::int32_t) : 0;

  Layout layout;
  const std::size_t pagesAt = layout.add(start.pages.size_bytes());
  const std::size_t stateAt = layout.add(sizeof(kernels::SlotState));
  const std::size_t samplingAt = layout.add(sizeof(kernels::SlotSampling));
  const std::size_t listsAt = layout.add(listBytes);
  const std::size_t countsAt = layout.add(countBytes);

  // What may run out comes before anything is queued.
  cuda::PinnedBlock staging = pinned_->allocate(layout.size());
  Lists lists;
  if (listBytes > 0) lists.tokens = device_->allocate(listBytes, stream_);
  if (countBytes > 0) lists.counts = device_->allocate(countBytes, stream_);

  kernels::SlotSampling written{};
  written.temperature = sampling.temperature;
  written.topP = sampling.topP;
  written.minP = sampling.minP;
  written.repetitionPenalty = sampling.repetitionPenalty;
  written.presencePenalty = sampling.presencePenalty;
  written.frequencyPenalty = sampling.frequencyPenalty;
  written.topK = sampling.topK;
  written.seed = sampling.seed;
  written.logprobs = sampling.logprobs;
  written.biases = static_cast<std::int32_t>(biases);
  written.stopTokens = static_cast<std::int32_t>(stops);
  written.biasTokens = at<std::int32_t>(lists.tokens);
  written.biasValues = reinterpret_cast<const float*>(written.biasTokens + biases);
  written.stopTokenIds = written.biasTokens + 2 * biases;
  written.counts = at<std::int32_t>(lists.counts);

  std::vector<std::int32_t> biasTokens;
  std::vector<float> biasValues;
  for (const auto& [token, value] : sampling.bias) {
    biasTokens.push_back(token);
    biasValues.push_back(value);
  }
  write(staging, pagesAt, start.pages);
  write(staging, stateAt,
        one(kernels::SlotState{.token = 0,
                               .position = static_cast<std::int32_t>(start.prompt.size()) - 1,
                               .remaining = start.maxNewTokens,
                               .running = 1}));
  write(staging, samplingAt, one(written));
  write(staging, listsAt, std::span<const std::int32_t>(biasTokens));
  write(staging, listsAt + biases * sizeof(std::int32_t), std::span<const float>(biasValues));
  write(staging, listsAt + 2 * biases * sizeof(std::int32_t), std::span<const std::int32_t>(sampling.stopTokens));
  if (countBytes > 0) {
    auto* counts = reinterpret_cast<std::uint32_t*>(staging.data() + countsAt);
    std::fill_n(counts, limits_.vocabulary, 0U);
    for (const std::int32_t token : start.prompt)
      if (token >= 0 && token < limits_.vocabulary) counts[token] = 1U << 31;
  }

  cuda::copyToDevice(stream_, pages_, slot * pagesPerSlot * sizeof(std::int32_t), staging, pagesAt,
                     start.pages.size_bytes());
  cuda::copyToDevice(stream_, states_, slot * sizeof(kernels::SlotState), staging, stateAt, sizeof(kernels::SlotState));
  cuda::copyToDevice(stream_, sampling_, slot * sizeof(kernels::SlotSampling), staging, samplingAt,
                     sizeof(kernels::SlotSampling));
  if (listBytes > 0) cuda::copyToDevice(stream_, lists.tokens, 0, staging, listsAt, listBytes);
  if (countBytes > 0) cuda::copyToDevice(stream_, lists.counts, 0, staging, countsAt, countBytes);
  lists_[slot] = std::move(lists);
}

}  // namespace tensorrt_node::decode
