#include "store.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../cuda/error.h"
#include "../cuda/event.h"
#include "convert_piece.h"
#include "device_range.h"
#include "host_block.h"
#include "matrix_loader.h"
#include "offload_file.h"
#include "prefetcher.h"
#include "read_plan.h"
#include "store_layout.h"

namespace tensorrt_node::weights {

namespace {

std::size_t sizeOf(std::uint64_t bytes) noexcept {
  return static_cast<std::size_t>(bytes);
}

}  // namespace

class Store::State {
 public:
  State(tensorrt::DeviceMemory memory, std::vector<Matrix> matrices, const std::vector<StoreRun>& runs,
        const StoreOptions& options)
      : memory_(std::move(memory)),
        matrices_(std::move(matrices)),
        options_(options),
        layout_(layOut(matrices_, runs, options.places, options.kept)),
        home_(memory_.context, "weights"),
        restored_(memory_.context) {
    if (!options_.read) options_.read = ::pread;
    for (std::size_t run = 0; run < layout_.runs.size(); ++run) {
      const RunLayout& of = layout_.runs[run];
      if (of.streamed) streamed_.push_back({.run = run, .tier = runs[run].tier, .host = {}, .plan = {}, .file = {}});
    }
  }

  ~State() {
    prefetcher_.reset();
    try {
      home_.synchronize();
    } catch (const cuda::CudaError&) {
      // The context is lost, and its work with it.
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void load(const OnStored& onStored, std::stop_token stop) {
    planDisk();
    // At once, so that too little memory shows before anything is read.
    range_.emplace(memory_, sizeOf(layout_.stagingOffset() + stagingBytes_), options_.pieceBytes);
    fill(onStored, std::move(stop), true);
    planReadsOfDisk();
    startPrefetcher();
    count();
  }

  CUdeviceptr address(std::size_t run, std::size_t weight) const {
    const auto [pinned, offset] = layout_.locate(run, weight);
    return (pinned ? pinned_.address() : range_->address()) + offset;
  }
  bool streamed(std::size_t run) const { return layout_.runs.at(run).streamed.has_value(); }

  void begin(const cuda::Stream& compute) {
    if (evicted()) throw std::logic_error("weights that are evicted were asked for");
    if (!restoring_) return;
    compute.wait(restored_);
    restoring_ = false;
  }
  void acquire(std::size_t run, const cuda::Stream& compute) {
    if (const auto block = layout_.runs.at(run).streamed) prefetcher_->acquire(*block, compute);
  }
  void release(std::size_t run, const cuda::Stream& compute) {
    if (const auto block = layout_.runs.at(run).streamed) prefetcher_->release(*block, compute);
  }

  void evict(const cuda::Stream& compute, bool keepRam) {
    if (!range_->movable())
      throw cuda::CudaError(CUDA_ERROR_NOT_SUPPORTED, "cuMemUnmap", "the device has no virtual memory");
    if (!evicted()) {
      if (keepRam && !copy_) keepCopy();
      compute.synchronize();
      home_.synchronize();
      if (prefetcher_) prefetcher_->pause();
      range_->unmap();
      restoring_ = false;
      evicted_.store(true);
    }
    if (!keepRam) {
      copy_ = {};
      for (Streamed& each : streamed_) each.host = {};
    }
    count();
  }

  void restore() {
    if (!evicted()) return;
    try {
      mapAndFill();
      // What the next step begins with comes first.
      if (prefetcher_ && restoring_) prefetcher_->stream().wait(restored_);
    } catch (...) {
      settle();
      restoring_ = false;
      range_->unmap();
      throw;
    }
    evicted_.store(false);
    if (prefetcher_) prefetcher_->resume();
    count();
  }

  bool evicted() const noexcept { return evicted_.load(); }

  StoreBytes bytes() const noexcept {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }

  StoreCounters counters() {
    StoreCounters counters;
    if (prefetcher_) prefetcher_->addTo(counters);
    return counters;
  }

 private:
  struct Streamed {
    std::size_t run;
    Tier tier;
    // In RAM.
    HostBlock host;
    // On disk, in the model's files or one of its own.
    ReadPlan plan;
    std::string file;
  };

  // Finds what of the disk tier goes to the offload folder, and what the rest needs for its conversion.
  void planDisk() {
    for (Streamed& each : streamed_) {
      const BlockLayout& block = layout_.runs[each.run].block;
      if (each.tier != Tier::disk) continue;
      const bool ready = std::ranges::all_of(
          block.weights, [&](const PlacedWeight& placed) { return readyAsStored(matrices_[placed.weight]); });
      if (!ready && !options_.offloadFolder.empty()) {
        makeFolder(options_.offloadFolder);
        each.file = offloadPath(options_.offloadFolder, matrices_, block);
      } else {
        each.plan = planReads(matrices_, block, directShare(options_.chunkBytes));
        stagingBytes_ = std::max(stagingBytes_, each.plan.stagingBytes);
      }
    }
  }

  void planReadsOfDisk() {
    for (Streamed& each : streamed_)
      if (!each.file.empty())
        each.plan = planReads(each.file, layout_.runs[each.run].block.bytes, directShare(options_.chunkBytes));
  }

  // Loads what is resident, what is in RAM, and, the first time, what the offload folder lacks.
  void fill(const OnStored& onStored, std::stop_token stop, bool offloading) {
    std::vector<LoadTask> tasks;
    std::uint64_t total = 0;
    const auto resident = [&](const BlockLayout& block, std::uint64_t offset) {
      for (const PlacedWeight& placed : block.weights) {
        const Matrix& matrix = matrices_[placed.weight];
        total += bytesToRead(matrix);
        tasks.push_back([&matrix, to = range_->address() + offset + placed.offset](MatrixLoader& loader) {
          loader.toDevice(matrix, to);
        });
      }
    };
    const auto bytesOf = [&](const BlockLayout& block) {
      std::uint64_t bytes = 0;
      for (const PlacedWeight& placed : block.weights) bytes += bytesToRead(matrices_[placed.weight]);
      return bytes;
    };
    resident(layout_.apart, 0);
    for (const RunLayout& run : layout_.runs)
      if (!run.streamed && !run.pinned) resident(run.block, run.offset);
    if (const BlockLayout& first = layout_.runs.front().block; layout_.runs.front().pinned && !pinned_) {
      total += bytesOf(first);
      pinned_ = HostBlock::whole(*memory_.pinned, first.bytes);
      tasks.push_back([this, &first](MatrixLoader& loader) { loadInto(pinned_, first, loader); });
    }
    std::mutex oneBlock;
    std::vector<std::string> written;
    for (Streamed& each : streamed_) {
      const BlockLayout& block = layout_.runs[each.run].block;
      if (each.tier != Tier::disk) {
        total += bytesOf(block);
        tasks.push_back([this, &each, &block](MatrixLoader& loader) {
          each.host = HostBlock(*memory_.pinned, block.bytes);
          loadInto(each.host, block, loader);
        });
      } else if (offloading && !each.file.empty() && !isOffloaded(each.file, offloadBytes(block))) {
        total += bytesOf(block);
        tasks.push_back([this, &each, &block, &oneBlock, &written](MatrixLoader& loader) {
          // One at a time: it takes pinned memory that nobody has counted.
          const std::lock_guard lock(oneBlock);
          const HostBlock made(*memory_.pinned, offloadBytes(block));
          try {
            loadInto(made, block, loader);
            loader.synchronize();
          } catch (...) {
            loader.synchronize();
            throw;
          }
          offload(each.file, made);
          written.push_back(each.file);
        });
      }
    }
    LoadJob job(total, onStored, std::move(stop));
    try {
      loadTogether(memory_, tasks, job, options_.threads, options_.chunkBytes);
    } catch (...) {
      // On a disk that is full they would only be in the way.
      for (const std::string& file : written) ::unlink(file.c_str());
      throw;
    }
  }

  void loadInto(const HostBlock& to, const BlockLayout& block, MatrixLoader& loader) const {
    for (const PlacedWeight& placed : block.weights) loader.toHost(matrices_[placed.weight], to, placed.offset);
  }

  void startPrefetcher() {
    if (streamed_.empty()) return;
    std::vector<StreamedBlock> blocks;
    for (const Streamed& each : streamed_) {
      const RunLayout& run = layout_.runs[each.run];
      const bool onDisk = each.tier == Tier::disk;
      blocks.push_back({.bytes = run.block.bytes,
                        .address = range_->address() + run.offset,
                        .place = run.place,
                        .ownBegin = run.place == 0 ? 0 : layout_.placeBytes - layout_.placeStride,
                        .ownEnd = run.place == 0 ? layout_.placeStride : layout_.placeBytes,
                        .host = onDisk ? nullptr : &each.host,
                        .plan = onDisk ? &each.plan : nullptr});
    }
    prefetcher_.emplace(
        memory_, std::move(blocks), range_->address() + layout_.stagingOffset(),
        ReadAheadOptions{.threads = options_.readers, .slots = options_.stagedChunks, .read = options_.read});
    prefetcher_->resume();
  }

  // Weights never change, so that a copy once made is good for ever.
  void keepCopy() {
    HostBlock copy(*memory_.pinned, layout_.residentBytes);
    try {
      copyToHost(home_, copy, 0, range_->address(), layout_.residentBytes);
      home_.synchronize();
    } catch (...) {
      settle();
      throw;
    }
    copy_ = std::move(copy);
  }

  void mapAndFill() {
    if (!copy_) {
      range_->map(nullptr);
      return fill(nullptr, {}, false);
    }
    // Copies begin while more memory is still being mapped.
    range_->map([&](std::size_t offset, std::size_t bytes) {
      if (offset >= layout_.residentBytes) return;
      copyToDevice(home_, range_->address() + offset, copy_, offset,
                   std::min<std::uint64_t>(bytes, layout_.residentBytes - offset));
    });
    home_.record(restored_);
    restoring_ = true;
  }

  void settle() noexcept {
    try {
      home_.synchronize();
    } catch (const cuda::CudaError&) {
      // The context is lost, and its work with it.
      return;
    }
  }

  void count() noexcept {
    StoreBytes bytes{.vram = layout_.residentBytes,
                     .ram = copy_.size() + pinned_.size(),
                     .disk = 0,
                     .places = layout_.ringBytes(),
                     .deviceStaging = stagingBytes_,
                     .pinnedStaging = prefetcher_ ? prefetcher_->pinnedBytes() : 0};
    for (const Streamed& each : streamed_)
      (each.tier == Tier::disk ? bytes.disk : bytes.ram) +=
          each.tier == Tier::disk ? layout_.runs[each.run].block.bytes : each.host.size();
    const std::lock_guard lock(mutex_);
    bytes_ = bytes;
  }

  const tensorrt::DeviceMemory memory_;
  const std::vector<Matrix> matrices_;
  StoreOptions options_;
  const StoreLayout layout_;
  // Of copies from and to the whole of what is resident.
  const cuda::Stream home_;
  cuda::Event restored_;
  bool restoring_ = false;
  std::atomic<bool> evicted_ = false;
  std::uint64_t stagingBytes_ = 0;
  std::optional<DeviceRange> range_;
  // The first run, where steps read it from there: its address is theirs for good.
  HostBlock pinned_;
  // What is resident, once it was evicted.
  HostBlock copy_;
  // The prefetcher points into it.
  std::deque<Streamed> streamed_;
  std::optional<Prefetcher> prefetcher_;
  mutable std::mutex mutex_;
  StoreBytes bytes_;
};

Store::Store(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Store::~Store() = default;

std::unique_ptr<Store> Store::load(tensorrt::DeviceMemory memory, std::vector<Matrix> matrices,
                                   std::vector<StoreRun> runs, const StoreOptions& options, const OnStored& onStored,
                                   std::stop_token stop) {
  auto state = std::make_unique<State>(std::move(memory), std::move(matrices), runs, options);
  state->load(onStored, std::move(stop));
  return std::make_unique<Store>(std::move(state));
}

CUdeviceptr Store::address(std::size_t run, std::size_t weight) const {
  return state_->address(run, weight);
}
bool Store::streamed(std::size_t run) const {
  return state_->streamed(run);
}
void Store::begin(const cuda::Stream& compute) {
  state_->begin(compute);
}
void Store::acquire(std::size_t run, const cuda::Stream& compute) {
  state_->acquire(run, compute);
}
void Store::release(std::size_t run, const cuda::Stream& compute) {
  state_->release(run, compute);
}
void Store::evict(const cuda::Stream& compute, bool keepRam) {
  state_->evict(compute, keepRam);
}
void Store::restore() {
  state_->restore();
}
bool Store::evicted() const noexcept {
  return state_->evicted();
}
StoreBytes Store::bytes() const noexcept {
  return state_->bytes();
}
StoreCounters Store::counters() {
  return state_->counters();
}

}  // namespace tensorrt_node::weights
