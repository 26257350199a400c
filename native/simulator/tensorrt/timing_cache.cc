#include "timing_cache.h"

#include "archive.h"
#include "host_memory.h"

namespace simulated_tensorrt {

namespace {

constexpr std::string_view magic = "simulated timing cache";

}  // namespace

TimingCache::TimingCache(Version version, ComputeCapability capability) : version_(version), capability_(capability) {
  mImpl = this;
}

std::unique_ptr<TimingCache> TimingCache::read(std::string_view bytes) {
  try {
    Reader reader(bytes);
    if (reader.text() != magic) return nullptr;
    const std::string content = reader.text();
    if (reader.get<std::uint64_t>() != digest(content) || !reader.atEnd()) return nullptr;
    Reader inner(content);
    const auto number = [&] { return inner.get<int>(); };
    const Version version{number(), number(), number()};
    const ComputeCapability capability{number(), number()};
    auto cache = std::make_unique<TimingCache>(version, capability);
    inner.list([&] {
      const auto layer = inner.get<std::uint64_t>();
      cache->entries_[layer] = inner.get<float>();
    });
    return cache;
  } catch (const std::runtime_error&) {
    return nullptr;
  }
}

bool TimingCache::fits(Version version, ComputeCapability capability) const {
  return version_ == version && capability_ == capability;
}

bool TimingCache::has(std::uint64_t layer) const {
  const std::lock_guard lock(mutex_);
  return entries_.contains(layer);
}

void TimingCache::add(std::uint64_t layer, float milliseconds) {
  const std::lock_guard lock(mutex_);
  entries_[layer] = milliseconds;
}

nvinfer1::IHostMemory* TimingCache::serialize() const noexcept {
  const std::lock_guard lock(mutex_);
  Writer content;
  for (const int each : {version_.major, version_.minor, version_.patch, capability_.major, capability_.minor})
    content.put(each);
  content.list(entries_, [&](const auto& entry) {
    content.put(entry.first);
    content.put(entry.second);
  });
  Writer writer;
  writer.put(magic);
  writer.put(content.bytes());
  writer.put(digest(content.bytes()));
  return std::make_unique<HostMemory>(writer.bytes()).release();
}

bool TimingCache::combine(nvinfer1::ITimingCache const& from, bool ignoreMismatch) noexcept {
  const auto& other = static_cast<const TimingCache&>(from);
  if (&other == this || (!ignoreMismatch && !other.fits(version_, capability_))) return false;
  const std::scoped_lock lock(mutex_, other.mutex_);
  entries_.insert(other.entries_.begin(), other.entries_.end());
  return true;
}

bool TimingCache::reset() noexcept {
  const std::lock_guard lock(mutex_);
  entries_.clear();
  return true;
}

}  // namespace simulated_tensorrt
