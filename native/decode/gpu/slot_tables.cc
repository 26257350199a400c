#include "slot_tables.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "../../cuda/copy.h"

namespace tensorrt_node::decode {

namespace {

// The mark of a token of the prompt in SlotSampling::counts.
constexpr std::int32_t inPrompt = std::numeric_limits<std::int32_t>::min();

constexpr std::size_t at(std::int32_t index) noexcept {
  return static_cast<std::size_t>(index);
}

}  // namespace

SlotTables::SlotTables(const tensorrt::DeviceMemory& memory, const cuda::Stream& stream, const RunnerLimits& limits)
    : memory_(memory),
      stream_(stream),
      limits_(limits),
      pages_(memory.device->allocate(at(limits.slots) * at(limits.pagesPerSlot) * sizeof(Page), stream)),
      sampling_(memory.device->allocate(at(limits.slots) * sizeof(kernels::SlotSampling), stream)),
      states_(memory.device->allocate(at(limits.slots) * sizeof(kernels::SlotState), stream)),
      lists_(at(limits.slots)) {
  // No slot runs.
  cuda::fill(stream, states_, 0, at(limits.slots) * sizeof(kernels::SlotState), 0);
  cuda::fill(stream, sampling_, 0, at(limits.slots) * sizeof(kernels::SlotSampling), 0);
  cuda::fill(stream, pages_, 0, at(limits.slots) * at(limits.pagesPerSlot) * sizeof(Page), 0);
}

void SlotTables::begin(const SlotStart& start) {
  if (start.slot < 0 || start.slot >= limits_.slots) throw std::invalid_argument("no such slot");
  if (start.pages.size() > at(limits_.pagesPerSlot)) throw std::invalid_argument("more pages than a slot has");
  // New lists first: when memory runs out the slot is as it was. The old ones' memory is used again in the stream's
  // order.
  Lists lists;
  const kernels::SlotSampling sampling = describe(start, lists);
  const kernels::SlotState state{.token = start.prompt.back(),
                                 .position = static_cast<std::int32_t>(start.prompt.size()) - 1,
                                 .remaining = start.maxNewTokens,
                                 .running = 1};
  const std::size_t slot = at(start.slot);
  upload(pages_, slot * at(limits_.pagesPerSlot) * sizeof(Page), start.pages.data(), start.pages.size());
  upload(sampling_, slot * sizeof sampling, &sampling, 1);
  upload(states_, slot * sizeof state, &state, 1);
  lists_[slot] = std::move(lists);
}

kernels::SlotSampling SlotTables::describe(const SlotStart& start, Lists& lists) {
  const Sampling& given = start.sampling;
  kernels::SlotSampling sampling{.temperature = given.temperature,
                                 .topP = given.topP,
                                 .minP = given.minP,
                                 .repetitionPenalty = given.repetitionPenalty,
                                 .presencePenalty = given.presencePenalty,
                                 .frequencyPenalty = given.frequencyPenalty,
                                 .topK = given.topK,
                                 .seed = given.seed,
                                 .logprobs = given.logprobs,
                                 .biases = static_cast<std::int32_t>(given.bias.size()),
                                 .stopTokens = static_cast<std::int32_t>(given.stopTokens.size()),
                                 .biasTokens = nullptr,
                                 .biasValues = nullptr,
                                 .stopTokenIds = nullptr,
                                 .counts = nullptr};
  const std::size_t biases = given.bias.size();
  if (const std::size_t entries = 2 * biases + given.stopTokens.size(); entries > 0) {
    std::vector<std::int32_t> packed(entries);
    for (std::size_t i = 0; i < biases; ++i) {
      packed[i] = given.bias[i].first;
      std::memcpy(&packed[biases + i], &given.bias[i].second, sizeof(float));
    }
    std::ranges::copy(given.stopTokens, packed.begin() + static_cast<std::ptrdiff_t>(2 * biases));
    lists.tokens = memory_.device->allocate(entries * sizeof(std::int32_t), stream_);
    upload(lists.tokens, 0, packed.data(), entries);
    const CUdeviceptr address = lists.tokens.address();
    sampling.biasTokens = reinterpret_cast<const std::int32_t*>(address);
    sampling.biasValues = reinterpret_cast<const float*>(address + biases * sizeof(float));
    sampling.stopTokenIds = reinterpret_cast<const std::int32_t*>(address + 2 * biases * sizeof(float));
  }
  if (given.repetitionPenalty != 1 || given.presencePenalty != 0 || given.frequencyPenalty != 0) {
    lists.counts = memory_.device->allocate(at(limits_.vocabulary) * sizeof(std::int32_t), stream_);
    count(start, lists.counts);
    sampling.counts = reinterpret_cast<std::int32_t*>(lists.counts.address());
  }
  return sampling;
}

void SlotTables::count(const SlotStart& start, cuda::DeviceBlock& counts) {
  std::vector<std::int32_t> marks(at(limits_.vocabulary), 0);
  for (const std::int32_t token : start.prompt) {
    if (token >= 0 && token < limits_.vocabulary) marks[at(token)] = inPrompt;
  }
  upload(counts, 0, marks.data(), marks.size());
}

template <typename T>
void SlotTables::upload(cuda::DeviceBlock& to, std::size_t offset, const T* from, std::size_t count) {
  if (count == 0) return;
  // Back to its pool at once, and used again after the copy.
  cuda::PinnedBlock staging = memory_.pinned->allocate(count * sizeof(T));
  std::memcpy(staging.data(), from, count * sizeof(T));
  cuda::copyToDevice(stream_, to, offset, staging, 0, count * sizeof(T));
}

}  // namespace tensorrt_node::decode
