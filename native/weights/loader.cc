#include "loader.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "../cuda/copy.h"
#include "../cuda/event.h"
#include "../cuda/pinned_pool.h"
#include "../cuda/stream.h"
#include "../kernels/launch.h"
#include "source_reader.h"

namespace tensorrt_node::weights {

namespace {

std::uint64_t bytesToRead(const Piece& piece) noexcept {
  return piece.values.bytes + piece.scales.bytes + piece.zeroPoints.bytes;
}

void* at(const cuda::DeviceBlock& block, std::uint64_t offset = 0) noexcept {
  return reinterpret_cast<void*>(block.address() + offset);
}

// What the threads share.
class Job {
 public:
  Job(std::span<const Matrix> matrices, std::span<cuda::DeviceBlock> blocks, const OnLoaded& onLoaded,
      std::stop_token stop)
      : matrices_(matrices), blocks_(blocks), onLoaded_(onLoaded), stop_(std::move(stop)) {
    for (const Matrix& matrix : matrices) {
      for (const Piece& piece : matrix.pieces) total_ += bytesToRead(piece);
    }
  }

  // The next matrix that nobody has; the largest job a thread can be given without sharing its block.
  std::optional<std::size_t> next() noexcept {
    if (failed_.load(std::memory_order_relaxed)) return std::nullopt;
    const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
    return index < matrices_.size() ? std::optional(index) : std::nullopt;
  }
  const Matrix& matrix(std::size_t index) const noexcept { return matrices_[index]; }
  cuda::DeviceBlock& block(std::size_t index) const noexcept { return blocks_[index]; }

  void add(std::size_t bytes) {
    if (stop_.stop_requested()) throw Stopped{};
    const std::lock_guard lock(mutex_);
    done_ += bytes;
    if (onLoaded_) onLoaded_(done_, total_);
  }

  void fail(std::exception_ptr error) noexcept {
    const std::lock_guard lock(mutex_);
    if (error_ == nullptr) error_ = std::move(error);
    failed_.store(true, std::memory_order_relaxed);
  }
  bool failed() const noexcept { return failed_.load(std::memory_order_relaxed); }
  void rethrow() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

 private:
  const std::span<const Matrix> matrices_;
  const std::span<cuda::DeviceBlock> blocks_;
  const OnLoaded& onLoaded_;
  const std::stop_token stop_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
  std::exception_ptr error_;
};

class Thread {
 public:
  Thread(const tensorrt::DeviceMemory& memory, const kernels::Kernels& kernels, Job& job, std::size_t chunkBytes)
      : memory_(memory), kernels_(kernels), job_(job), stream_(memory.context, "weights") {
    for (Chunk& chunk : chunks_) {
      chunk.pinned = memory.pinned->allocate(chunkBytes);
      chunk.copied.emplace(memory.context);
    }
  }

  void run() {
    const cuda::Current current(*memory_.context);
    while (const auto index = job_.next()) {
      const Matrix& matrix = job_.matrix(*index);
      cuda::DeviceBlock& block = job_.block(*index);
      std::uint64_t offset = 0;
      for (const Piece& piece : matrix.pieces) {
        make(matrix, piece, block, offset);
        offset += static_cast<std::uint64_t>(piece.rows * matrix.columns) * elementBytes(matrix.type);
      }
    }
    stream_.synchronize();
  }

 private:
  struct Chunk {
    cuda::PinnedBlock pinned;
    // The copy out of it.
    std::optional<cuda::Event> copied;
    bool used = false;
  };

  void make(const Matrix& matrix, const Piece& piece, cuda::DeviceBlock& to, std::uint64_t offset) {
    if (piece.form == Form::plain && piece.stored == matrix.type) return copy(piece.values, to, offset);
    cuda::DeviceBlock values = staged(piece.values);
    if (piece.form != Form::quantized) {
      kernels::convert(kernels_, stream_.handle(),
                       {.in = at(values),
                        .out = at(to, offset),
                        .rows = piece.rows,
                        .columns = matrix.columns,
                        .inType = piece.stored,
                        .outType = matrix.type,
                        .transposed = piece.form == Form::transposed ? 1 : 0});
      to.usedBy(stream_);
      return;
    }
    cuda::DeviceBlock scales = staged(piece.scales);
    cuda::DeviceBlock zeroPoints = piece.zeroPoints.bytes > 0 ? staged(piece.zeroPoints) : cuda::DeviceBlock();
    kernels::dequantize(kernels_, stream_.handle(),
                        {.codes = static_cast<const std::uint8_t*>(at(values)),
                         .scales = at(scales),
                         .zeroPoints = zeroPoints ? at(zeroPoints) : nullptr,
                         .out = at(to, offset),
                         .rows = piece.rows,
                         .columns = matrix.columns,
                         .bits = piece.bits,
                         .block = piece.block,
                         .zeroPoint = piece.zeroPoint,
                         .packedZeroPoints = piece.zeroPointType ? 0 : 1,
                         .scaleType = piece.stored,
                         .zeroPointType = piece.zeroPointType.value_or(piece.stored),
                         .outType = matrix.type});
    to.usedBy(stream_);
  }

  // Its memory goes back to the pool in the order of the stream.
  cuda::DeviceBlock staged(const Source& source) {
    cuda::DeviceBlock block = memory_.device->allocate(static_cast<std::size_t>(source.bytes), stream_);
    copy(source, block, 0);
    return block;
  }

  void copy(const Source& source, cuda::DeviceBlock& to, std::uint64_t offset) {
    SourceReader reader(source);
    for (std::uint64_t done = 0; done < source.bytes;) {
      if (job_.failed()) throw Stopped{};
      Chunk& chunk = chunks_[turn_++ % chunks_.size()];
      if (chunk.used) chunk.copied->wait();
      const std::size_t bytes = reader.read(chunk.pinned.bytes());
      cuda::copyToDevice(stream_, to, static_cast<std::size_t>(offset + done), chunk.pinned, 0, bytes);
      stream_.record(*chunk.copied);
      chunk.used = true;
      done += bytes;
      job_.add(bytes);
    }
  }

  const tensorrt::DeviceMemory& memory_;
  const kernels::Kernels& kernels_;
  Job& job_;
  cuda::Stream stream_;
  std::array<Chunk, 2> chunks_;
  std::size_t turn_ = 0;
};

}  // namespace

std::vector<cuda::DeviceBlock> load(const tensorrt::DeviceMemory& memory, std::span<const Matrix> matrices,
                                    const OnLoaded& onLoaded, std::stop_token stop, const LoaderOptions& options) {
  const std::shared_ptr<const kernels::Kernels> kernels = kernels::Kernels::of(memory.context);
  // Of all at once, so that too little memory shows before anything is read.
  const cuda::Stream home(memory.context, "weights");
  std::vector<cuda::DeviceBlock> blocks;
  blocks.reserve(matrices.size());
  for (const Matrix& matrix : matrices) {
    blocks.push_back(memory.device->allocate(static_cast<std::size_t>(matrix.bytes()), home));
  }
  Job job(matrices, blocks, onLoaded, std::move(stop));
  const auto work = [&] {
    try {
      Thread(memory, *kernels, job, options.chunkBytes).run();
    } catch (...) {
      job.fail(std::current_exception());
    }
  };
  {
    std::vector<std::jthread> threads;
    const std::size_t count = std::min<std::size_t>(options.threads, matrices.size());
    for (std::size_t thread = 0; thread < count; ++thread) threads.emplace_back(work);
  }
  job.rethrow();
  return blocks;
}

}  // namespace tensorrt_node::weights
