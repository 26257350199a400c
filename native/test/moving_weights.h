// Weights of a decoder for tests of what runs over them: some stay, others are copied to one of two places before each
// use, and may fail to come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "check.h"
#include "cuda/copy.h"
#include "cuda/event.h"
#include "cuda/stream.h"
#include "tensorrt/engine.h"
#include "weights/step_weights.h"

namespace test {

namespace cuda = tensorrt_node::cuda;
namespace weights = tensorrt_node::weights;

class MovingWeights final : public weights::StepWeights {
 public:
  using Bytes = std::vector<std::byte>;

  // Each weight's bytes, which weights each run takes, and the runs that are streamed.
  MovingWeights(tensorrt_node::tensorrt::DeviceMemory memory, const std::vector<Bytes>& weights,
                const std::vector<std::vector<std::size_t>>& runs, std::set<std::size_t> streamed)
      : memory_(std::move(memory)), stream_(memory_.context, "moving weights"), streamed_(std::move(streamed)) {
    std::size_t placeBytes = 1;
    for (std::size_t run = 0; run < runs.size(); ++run) {
      std::size_t bytes = 0;
      for (const std::size_t weight : runs[run]) {
        offsets_[{run, weight}] = bytes;
        bytes += (weights[weight].size() + 255) / 256 * 256;
      }
      cuda::PinnedBlock block = memory_.pinned->allocate(bytes);
      for (const std::size_t weight : runs[run])
        std::memcpy(block.data() + offsets_[{run, weight}], weights[weight].data(), weights[weight].size());
      host_.push_back(std::move(block));
      if (streamed_.contains(run)) placeBytes = std::max(placeBytes, bytes);
    }
    for (Place& place : places_) place = {memory_.device->allocate(placeBytes, stream_), cuda::Event(memory_.context)};
    for (std::size_t run = 0; run < runs.size(); ++run)
      resident_.push_back(streamed_.contains(run) ? cuda::DeviceBlock()
                                                  : memory_.device->allocate(host_[run].size(), stream_));
    copied_.emplace(memory_.context);
    bring();
    stream_.synchronize();
  }

  CUdeviceptr address(std::size_t run, std::size_t weight) const override {
    const CUdeviceptr block = streamed(run) ? placeOf(run).memory.address() : resident_[run].address();
    return block + offsets_.at({run, weight});
  }
  bool streamed(std::size_t run) const override { return streamed_.contains(run); }

  void begin(const cuda::Stream& compute) override {
    CHECK(!evicted);
    CHECK(!held_);
    beforeBegin();
    next_ = 0;
    compute.wait(*copied_);
  }
  void acquire(std::size_t run, const cuda::Stream& compute) override {
    CHECK(!evicted);
    CHECK(!held_);
    // In their order.
    CHECK_EQUAL(run, *std::next(streamed_.begin(), static_cast<std::ptrdiff_t>(next_++)));
    beforeAcquire(run);
    Place& place = placeOf(run);
    stream_.wait(*place.released);
    cuda::copyToDevice(stream_, place.memory, 0, host_[run], 0, host_[run].size());
    stream_.record(*copied_);
    compute.wait(*copied_);
    held_ = run;
  }
  void release(std::size_t run, const cuda::Stream& compute) override {
    CHECK(held_ == run);
    held_.reset();
    if (!leaveReleases) compute.record(*placeOf(run).released);
  }
  void evict(const cuda::Stream& compute, bool keepRam) override {
    CHECK(!evicted);
    beforeEvict(keepRam);
    // A step that was lost may be under way still.
    cuda::Event passed(memory_.context);
    compute.record(passed);
    stream_.wait(passed);
    // What is there now is not there afterwards.
    for (std::size_t run = 0; run < resident_.size(); ++run)
      if (resident_[run]) cuda::fill(stream_, resident_[run], 0, resident_[run].size(), 0xff);
    stream_.synchronize();
    evicted = true;
  }
  void restore() override {
    CHECK(evicted);
    beforeRestore();
    bring();
    evicted = false;
  }
  weights::StoreBytes bytes() const noexcept override { return {}; }
  weights::StoreCounters counters() override { return {}; }

  // What these throw, the call throws.
  std::function<void()> beforeBegin = [] {};
  std::function<void(std::size_t run)> beforeAcquire = [](std::size_t) {};
  std::function<void(bool keepRam)> beforeEvict = [](bool) {};
  std::function<void()> beforeRestore = [] {};
  // A mistake: a place's next block does not wait for the work with the one before.
  bool leaveReleases = false;
  bool evicted = false;

 private:
  struct Place {
    cuda::DeviceBlock memory;
    std::optional<cuda::Event> released;
  };

  Place& placeOf(std::size_t run) {
    return places_[static_cast<std::size_t>(std::distance(streamed_.begin(), streamed_.find(run))) % 2];
  }
  const Place& placeOf(std::size_t run) const { return const_cast<MovingWeights*>(this)->placeOf(run); }
  void bring() {
    for (std::size_t run = 0; run < resident_.size(); ++run)
      if (resident_[run]) cuda::copyToDevice(stream_, resident_[run], 0, host_[run], 0, host_[run].size());
    stream_.record(*copied_);
  }

  const tensorrt_node::tensorrt::DeviceMemory memory_;
  const cuda::Stream stream_;
  const std::set<std::size_t> streamed_;
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> offsets_;
  std::vector<cuda::PinnedBlock> host_;
  std::vector<cuda::DeviceBlock> resident_;
  Place places_[2];
  std::optional<cuda::Event> copied_;
  std::size_t next_ = 0;
  std::optional<std::size_t> held_;
};

}  // namespace test
