// Reads chunks of files in a fixed cyclic order, some ahead of who takes them, into a ring of pinned memory.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "../cuda/event.h"
#include "../cuda/pinned_pool.h"
#include "../cuda/stream.h"
#include "direct_file.h"
#include "read_plan.h"

namespace tensorrt_node::weights {

struct ReadAheadOptions {
  unsigned threads = 4;
  // Chunks that are being read, or were read and not yet copied.
  std::size_t slots = 12;
  ReadFunction read;
};

// One thread takes; interrupt() and the figures are for any.
class ReadAhead {
 public:
  // The chunks live longer. Nothing is read before restart(). Throws FileError, CudaError.
  ReadAhead(const std::shared_ptr<const cuda::Context>& context, cuda::PinnedPool& pinned,
            std::vector<const ReadChunk*> chunks, const ReadAheadOptions& options);
  // Copies out of what was taken must be done.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // The next chunk; nothing once interrupted. Waits until it is read. Throws what reading it failed with, and reads no
  // further until restart().
  std::optional<std::span<std::byte>> take();
  // Copies out of the chunk taken last are queued on the stream. Throws CudaError.
  void give(const cuda::Stream& stream);

  // Ends take(), and reading ahead, until restart().
  void interrupt() noexcept;
  // From a chunk on, once what is being read has come to its end. Everything taken was given, or its copies are done.
  void restart(std::size_t chunk);

  std::uint64_t pinnedBytes() const noexcept;
  std::uint64_t reads() const;
  std::uint64_t bytesRead() const;

 private:
  struct Slot {
    cuda::PinnedBlock memory;
    // The copies out of it.
    cuda::Event copied;
    bool used = false;
    // What was read, or why not.
    std::span<std::byte> bytes;
    std::exception_ptr error;
    bool filled = false;
  };

  void stop() noexcept;
  void work() noexcept;
  // With the lock let go.
  void fill(Slot& slot, const ReadChunk& chunk);
  Slot& slotOf(std::uint64_t turn) noexcept { return slots_[static_cast<std::size_t>(turn % slots_.size())]; }

  const std::vector<const ReadChunk*> chunks_;
  std::map<std::string, std::unique_ptr<DirectFile>> files_;
  std::vector<Slot> slots_;

  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::condition_variable free_;
  // Chunks since the restart, which was from chunk first_ on: next to be read, taken, and given back.
  std::size_t first_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t taken_ = 0;
  std::uint64_t given_ = 0;
  std::size_t reading_ = 0;
  bool interrupted_ = true;
  bool stopping_ = false;
  std::uint64_t reads_ = 0;
  std::uint64_t bytesRead_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace tensorrt_node::weights
