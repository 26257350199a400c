#include "stream_names.h"

#include <cstddef>
#include <new>
#include <utility>

namespace tensorrt_node::cuda {

StreamNames& StreamNames::instance() {
  alignas(StreamNames) static std::byte storage[sizeof(StreamNames)];
  static auto* const all = ::new (static_cast<void*>(storage)) StreamNames;
  return *all;
}

void StreamNames::add(CUcontext context, CUstream stream, const std::string& name) {
  const std::lock_guard lock(mutex_);
  streams_.insert_or_assign(stream, Entry{context, name});
  if (listener_) listener_(context, stream, name);
}

void StreamNames::remove(CUstream stream) noexcept {
  const std::lock_guard lock(mutex_);
  streams_.erase(stream);
}

void StreamNames::listen(Listener listener) {
  const std::lock_guard lock(mutex_);
  listener_ = std::move(listener);
  if (!listener_) return;
  for (const auto& [stream, entry] : streams_) listener_(entry.context, stream, entry.name);
}

}  // namespace tensorrt_node::cuda
