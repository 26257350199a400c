#include "read_ahead.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "../cuda/driver.h"

namespace tensorrt_node::weights {

ReadAhead::ReadAhead(const std::shared_ptr<const cuda::Context>& context, cuda::PinnedPool& pinned,
                     std::vector<const ReadChunk*> chunks, const ReadAheadOptions& options)
    : chunks_(std::move(chunks)) {
  std::size_t largest = 0;
  for (const ReadChunk* chunk : chunks_) {
    largest = std::max(largest, chunk->bytes);
    if (chunk->inlined == nullptr && !files_.contains(chunk->path))
      files_.emplace(chunk->path, std::make_unique<DirectFile>(chunk->path, options.read));
  }
  const std::size_t room = directRoom(largest);
  slots_.reserve(std::max<std::size_t>(options.slots, 2));
  for (std::size_t i = 0; i < slots_.capacity(); ++i) {
    slots_.push_back({.memory = pinned.allocate(room),
                      .copied = cuda::Event(context),
                      .used = false,
                      .bytes = {},
                      .error = nullptr,
                      .filled = false});
  }
  try {
    for (unsigned i = 0; i < std::max(options.threads, 1U); ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {
    // Else those that did start would be waited for without end.
    stop();
    throw;
  }
}

ReadAhead::~ReadAhead() {
  stop();
}

void ReadAhead::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    interrupted_ = true;
  }
  filled_.notify_all();
  free_.notify_all();
}

std::optional<std::span<std::byte>> ReadAhead::take() {
  std::unique_lock lock(mutex_);
  Slot& slot = slotOf(taken_);
  filled_.wait(lock, [&] { return interrupted_ || (taken_ < next_ && slot.filled); });
  if (interrupted_) return std::nullopt;
  if (slot.error != nullptr) {
    interrupted_ = true;
    std::rethrow_exception(slot.error);
  }
  ++taken_;
  return slot.bytes;
}

void ReadAhead::give(const cuda::Stream& stream) {
  // Nobody touches the slot before it is given.
  Slot& slot = slotOf(given_);
  stream.record(slot.copied);
  {
    const std::lock_guard lock(mutex_);
    slot.used = true;
    ++given_;
  }
  free_.notify_one();
}

void ReadAhead::interrupt() noexcept {
  {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
  }
  filled_.notify_all();
}

void ReadAhead::restart(std::size_t chunk) {
  {
    std::unique_lock lock(mutex_);
    interrupted_ = true;
    filled_.wait(lock, [&] { return reading_ == 0; });
    first_ = chunk;
    next_ = taken_ = given_ = 0;
    for (Slot& slot : slots_) {
      slot.filled = false;
      slot.error = nullptr;
    }
    interrupted_ = false;
  }
  free_.notify_all();
}

std::uint64_t ReadAhead::pinnedBytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const Slot& slot : slots_) bytes += slot.memory.size();
  return bytes;
}

std::uint64_t ReadAhead::reads() const {
  const std::lock_guard lock(mutex_);
  return reads_;
}

std::uint64_t ReadAhead::bytesRead() const {
  const std::lock_guard lock(mutex_);
  return bytesRead_;
}

void ReadAhead::work() noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    free_.wait(lock, [&] { return stopping_ || (!interrupted_ && next_ - given_ < slots_.size()); });
    if (stopping_) return;
    const std::uint64_t turn = next_++;
    Slot& slot = slotOf(turn);
    slot.filled = false;
    slot.error = nullptr;
    ++reading_;
    lock.unlock();
    const ReadChunk& chunk = *chunks_[static_cast<std::size_t>((first_ + turn) % chunks_.size())];
    try {
      fill(slot, chunk);
    } catch (...) {
      slot.error = std::current_exception();
    }
    lock.lock();
    --reading_;
    slot.filled = true;
    if (slot.error == nullptr) {
      ++reads_;
      bytesRead_ += chunk.bytes;
    }
    filled_.notify_all();
  }
}

void ReadAhead::fill(Slot& slot, const ReadChunk& chunk) {
  if (slot.used) slot.copied.wait();
  cuda::noteHostAccess(slot.memory.data(), slot.memory.size(), true);
  if (chunk.inlined == nullptr) {
    slot.bytes = files_.at(chunk.path)->read(chunk.offset, chunk.bytes, slot.memory.bytes());
    return;
  }
  std::memcpy(slot.memory.data(), chunk.inlined->data() + chunk.offset, chunk.bytes);
  slot.bytes = slot.memory.bytes().first(chunk.bytes);
}

}  // namespace tensorrt_node::weights
