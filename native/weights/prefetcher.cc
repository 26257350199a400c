#include "prefetcher.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "../cuda/driver.h"
#include "convert_piece.h"

namespace tensorrt_node::weights {

namespace {

// No block: whatever comes next is out of order.
constexpr std::size_t none = static_cast<std::size_t>(-1);

std::size_t placesOf(const std::vector<StreamedBlock>& blocks) noexcept {
  std::size_t places = 0;
  for (const StreamedBlock& block : blocks) places = std::max(places, block.place + 1);
  return places;
}

double secondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Prefetcher::Prefetcher(const tensorrt::DeviceMemory& memory, std::vector<StreamedBlock> blocks, CUdeviceptr staging,
                       const ReadAheadOptions& reading)
    : context_(memory.context),
      blocks_(std::move(blocks)),
      staging_(staging),
      stream_(memory.context, "prefetch"),
      places_(placesOf(blocks_)),
      flights_(memory.context) {
  std::vector<const ReadChunk*> chunks;
  bool converts = false;
  for (const StreamedBlock& block : blocks_) {
    firstChunks_.push_back(chunks.size());
    if (block.plan == nullptr) continue;
    converts = converts || block.plan->stagingBytes > 0;
    for (const ReadChunk& chunk : block.plan->chunks) chunks.push_back(&chunk);
  }
  if (converts) kernels_ = kernels::Kernels::of(context_);
  if (!chunks.empty()) {
    // Blocks behind the last that is read are followed by the first.
    for (std::size_t& first : firstChunks_) first %= chunks.size();
    reads_ = std::make_unique<ReadAhead>(context_, *memory.pinned, std::move(chunks), reading);
  }
  thread_ = std::jthread([this] { work(); });
}

Prefetcher::~Prefetcher() {
  pause();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wanted_.notify_all();
}

void Prefetcher::acquire(std::size_t block, const cuda::Stream& compute) {
  std::unique_lock lock(mutex_);
  if (paused_) throw std::logic_error("weights that are evicted were asked for");
  Place& place = placeOf(block);
  const auto isThere = [&] { return place.state == State::there && place.block == block; };
  // What failed while nobody needed it is tried once more.
  if (block != expected_ || (error_ != nullptr && !isThere())) restart(block, compute);
  // If anything fails from here on, the next step begins anew.
  expected_ = none;
  if (!isThere()) {
    const auto start = std::chrono::steady_clock::now();
    changed_.wait(lock, [&] { return isThere() || error_ != nullptr; });
    counters_.hostWaitSeconds += secondsSince(start);
    if (!isThere()) std::rethrow_exception(error_);
  }
  place.state = State::acquired;
  place.flight->used = true;
  compute.record(place.flight->wanted);
  compute.wait(place.flight->copied);
}

void Prefetcher::release(std::size_t block, const cuda::Stream& compute) {
  const std::lock_guard lock(mutex_);
  Place& place = placeOf(block);
  if (place.state != State::acquired || place.block != block)
    throw std::logic_error("weights were released that had not been acquired");
  free(place, compute);
  expected_ = (block + 1) % blocks_.size();
  wanted_.notify_one();
}

void Prefetcher::pause() noexcept {
  {
    std::unique_lock lock(mutex_);
    paused_ = true;
    abandon();
    wanted_.notify_one();
    changed_.wait(lock, [&] { return !busy_; });
  }
  synchronize();
  const std::lock_guard lock(mutex_);
  // What computed with them is done: nothing is to be waited for.
  for (Place& place : places_) place = {};
}

void Prefetcher::resume() {
  {
    const std::lock_guard lock(mutex_);
    paused_ = false;
    error_ = nullptr;
    restarting_ = true;
    next_ = expected_ = 0;
  }
  wanted_.notify_one();
}

void Prefetcher::addTo(StoreCounters& counters) {
  const std::lock_guard lock(mutex_);
  const FlightTimes& times = flights_.times();
  counters.blocks += counters_.blocks;
  counters.bytesCopied += counters_.bytesCopied;
  counters.hostWaitSeconds += counters_.hostWaitSeconds;
  counters.restarts += counters_.restarts;
  counters.copySeconds += times.copySeconds;
  counters.computeWaitSeconds += times.computeWaitSeconds;
  counters.prefetchWaitSeconds += times.prefetchWaitSeconds;
  if (reads_ == nullptr) return;
  counters.reads += reads_->reads();
  counters.bytesRead += reads_->bytesRead();
}

void Prefetcher::work() noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    wanted_.wait(lock,
                 [&] { return stopping_ || (!paused_ && error_ == nullptr && placeOf(next_).state == State::free); });
    if (stopping_) return;
    const std::uint64_t round = round_;
    std::exception_ptr error;
    busy_ = true;
    try {
      bringNext(lock);
    } catch (...) {
      error = std::current_exception();
    }
    if (error != nullptr) {
      lock.unlock();
      // Nothing may be under way from or to memory that is used again after the next restart.
      synchronize();
      lock.lock();
      if (round == round_) {
        abandon();
        error_ = error;
      }
    }
    busy_ = false;
    changed_.notify_all();
  }
}

void Prefetcher::bringNext(std::unique_lock<std::mutex>& lock) {
  const std::uint64_t round = round_;
  const std::size_t number = next_;
  const StreamedBlock& block = blocks_[number];
  Place& place = places_[block.place];
  const bool restarting = std::exchange(restarting_, false);
  std::unique_ptr<Flight> flight = flights_.take();
  place.state = State::arriving;
  place.block = number;

  stream_.record(flight->asked);
  queueBehind(place, lock, [&] {
    if (restarting && reads_ != nullptr) reads_->restart(firstChunks_[number]);
    stream_.record(flight->began);
    queueOwn(block);
  });
  bool queued = false;
  const auto rest = [&] {
    if (flight->shared) stream_.record(flight->resumed);
    queued = queueRest(block);
    if (queued) stream_.record(flight->copied);
  };
  flight->shared = block.ownBegin > 0 || block.ownEnd < block.bytes;
  Place& behind = flight->shared ? places_[1 - block.place] : place;
  if (flight->shared) stream_.record(flight->paused);
  // Of the other place, once it is known behind what on its stream computing is done with it.
  if (flight->shared) wanted_.wait(lock, [&] { return round != round_ || behind.state == State::free; });
  if (round != round_) return;
  queueBehind(behind, lock, rest);
  if (!queued) return;
  if (round != round_) return flights_.giveBack(std::move(flight));
  place.flight = std::move(flight);
  place.state = State::there;
  next_ = (number + 1) % blocks_.size();
  ++counters_.blocks;
  counters_.bytesCopied += block.bytes;
}

template <typename Queue>
void Prefetcher::queueBehind(Place& place, std::unique_lock<std::mutex>& lock, Queue queue) {
  // Only this thread takes it away.
  const Flight* const before = place.before.get();
  bool waited = before == nullptr;
  std::exception_ptr error;
  lock.unlock();
  try {
    if (before != nullptr) stream_.wait(before->freed);
    waited = true;
    queue();
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  // Later copies are behind this one, so they need not wait for it.
  if (waited && place.before != nullptr) flights_.giveBack(std::move(place.before));
  if (error != nullptr) std::rethrow_exception(error);
}

void Prefetcher::queueOwn(const StreamedBlock& block) {
  // What is read comes in the order of its files.
  if (block.plan != nullptr) return;
  const std::uint64_t end = std::min(block.ownEnd, block.bytes);
  if (block.ownBegin < end)
    copyToDevice(stream_, block.address + block.ownBegin, *block.host, block.ownBegin, end - block.ownBegin);
}

bool Prefetcher::queueRest(const StreamedBlock& block) {
  if (block.plan != nullptr) return queueRead(block);
  const std::uint64_t begin = std::min(block.ownBegin, block.bytes);
  if (begin > 0) copyToDevice(stream_, block.address, *block.host, 0, begin);
  if (block.ownEnd < block.bytes)
    copyToDevice(stream_, block.address + block.ownEnd, *block.host, block.ownEnd, block.bytes - block.ownEnd);
  return true;
}

bool Prefetcher::queueRead(const StreamedBlock& block) {
  const cuda::Current current(*context_);
  for (const ReadChunk& chunk : block.plan->chunks) {
    const auto bytes = reads_->take();
    if (!bytes) return false;
    for (const auto& step : chunk.steps) {
      if (const auto* copy = std::get_if<ChunkCopy>(&step)) {
        const CUdeviceptr to = (copy->staged ? staging_ : block.address) + copy->to;
        cuda::check(cuda::driver().cuMemcpyHtoDAsync(to, bytes->data() + copy->from, copy->bytes, stream_.handle()),
                    "cuMemcpyHtoDAsync", stream_.name());
      } else if (const auto* clearing = std::get_if<Clearing>(&step)) {
        clear(stream_, *clearing->matrix, block.address + clearing->at);
      } else {
        const Conversion& conversion = std::get<Conversion>(step);
        const Piece& piece = *conversion.piece;
        convertPiece(*kernels_, stream_, *conversion.matrix, piece,
                     {.values = staging_ + conversion.values,
                      .scales = piece.scales.bytes > 0 ? staging_ + conversion.scales : 0,
                      .zeroPoints = piece.zeroPoints.bytes > 0 ? staging_ + conversion.zeroPoints : 0,
                      .passing = staging_ + conversion.passing},
                     block.address + conversion.out);
      }
    }
    reads_->give(stream_);
  }
  return true;
}

void Prefetcher::synchronize() noexcept {
  try {
    stream_.synchronize();
  } catch (const cuda::CudaError&) {
    // The context is lost, and its work with it.
    return;
  }
}

void Prefetcher::restart(std::size_t block, const cuda::Stream& compute) {
  abandon();
  std::exception_ptr error;
  for (Place& place : places_) {
    try {
      // Of a step that was given up; some of its work may be queued.
      if (place.state == State::acquired) free(place, compute);
    } catch (const cuda::CudaError&) {
      error = std::current_exception();
    }
    if (place.flight != nullptr) flights_.giveBack(std::move(place.flight));
    place.state = State::free;
  }
  error_ = nullptr;
  restarting_ = true;
  next_ = block;
  ++counters_.restarts;
  wanted_.notify_one();
  if (error != nullptr) std::rethrow_exception(error);
}

void Prefetcher::abandon() noexcept {
  ++round_;
  if (reads_ != nullptr) reads_->interrupt();
}

void Prefetcher::free(Place& place, const cuda::Stream& compute) {
  std::unique_ptr<Flight> flight = std::move(place.flight);
  try {
    compute.record(flight->freed);
  } catch (const cuda::CudaError&) {
    try {
      compute.synchronize();
    } catch (const cuda::CudaError&) {
      // The context is lost, and its work with it.
    }
    place.state = State::free;
    throw;
  }
  place.before = std::move(flight);
  place.state = State::free;
}

}  // namespace tensorrt_node::weights
