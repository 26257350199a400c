// A decoder's weights in their tiers: resident in VRAM, in pinned RAM, or on disk; the last two are brought to a small
// ring of places in VRAM just before each step's run needs them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "../tensorrt/engine.h"
#include "direct_file.h"
#include "load_job.h"
#include "matrix.h"
#include "step_weights.h"

namespace tensorrt_node::weights {

enum class Tier : std::uint8_t { vram, ram, disk };

struct StoreRun {
  // Numbers of the matrices that the run takes.
  std::vector<std::size_t> weights;
  // The first and the last run are not streamed: they stay in VRAM whatever is said here, but for a first one in RAM,
  // which steps read where it is: rows of an embedding are few. Weights that several runs take stay in VRAM too.
  Tier tier = Tier::vram;
};

struct StoreOptions {
  // Threads that load.
  unsigned threads = 4;
  // Threads that read what is streamed from disk: reads under way at once.
  unsigned readers = 8;
  // Pinned memory of a read.
  std::size_t chunkBytes = std::size_t{8} << 20;
  // Reads that may be under way, or done and not yet copied, while disk blocks are streamed.
  std::size_t stagedChunks = 12;
  // Places in VRAM that streamed runs share, two at least; 0: placesFor() of places.h. Two have most of their memory in
  // common. Where there are as many places as such runs, they stay in VRAM.
  std::size_t places = 0;
  // Weights that stay in VRAM though their run is streamed.
  std::vector<std::size_t> kept{};
  // Where blocks of the disk tier that need conversion are written once, ready to be read; empty: converted each time.
  std::string offloadFolder{};
  // VRAM that is mapped at once.
  std::size_t pieceBytes = std::size_t{64} << 20;
  // How what is streamed from disk is read; pread(2) but in tests.
  ReadFunction read{};
};

class Store final : public StepWeights {
  class State;

 public:
  // For load() alone.
  explicit Store(std::unique_ptr<State> state) noexcept;
  // Loads what is resident and what is in RAM. Throws FileError, CudaError (what was allocated goes back), and Stopped
  // (load_job.h) once `stop` was asked for.
  static std::unique_ptr<Store> load(tensorrt::DeviceMemory memory, std::vector<Matrix> matrices,
                                     std::vector<StoreRun> runs, const StoreOptions& options, const OnStored& onStored,
                                     std::stop_token stop);
  // Waits for copies under way. The compute stream must be past its last release().
  ~Store() override;

  CUdeviceptr address(std::size_t run, std::size_t weight) const override;
  bool streamed(std::size_t run) const override;
  void begin(const cuda::Stream& compute) override;
  void acquire(std::size_t run, const cuda::Stream& compute) override;
  void release(std::size_t run, const cuda::Stream& compute) override;

  // Of the resident blocks and the places.
  void evict(const cuda::Stream& compute, bool keepRam) override;
  void restore() override;
  bool evicted() const noexcept;

  StoreBytes bytes() const noexcept override;
  // Never blocks on the GPU: what it has not done yet is counted later.
  StoreCounters counters() override;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace tensorrt_node::weights
