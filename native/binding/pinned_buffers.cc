// External ArrayBuffers over pinned memory, and the two ways their memory comes back.
#include "pinned_buffers.h"

#include <stdexcept>
#include <utility>

namespace tensorrt_node::binding {

Napi::ArrayBuffer PinnedBuffers::wrap(Napi::Env env, cuda::PinnedBlock block) {
  return wrap(env, std::make_shared<cuda::PinnedBlock>(std::move(block)));
}

Napi::ArrayBuffer PinnedBuffers::wrap(Napi::Env env, std::shared_ptr<cuda::PinnedBlock> block) {
  auto held = std::make_unique<Held>(Held{shared_from_this(), std::move(block)});
  void* const data = held->block->data();
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, data, held->block->size(), [](napi_env, void*, void* hint) { finalize(hint); }, held.get(), &buffer);
  if (status == napi_no_external_buffers_allowed)
    throw std::runtime_error("this JavaScript runtime allows no ArrayBuffer over pinned memory (Electron's does not)");
  if (status != napi_ok) throw std::runtime_error("the JavaScript runtime made no ArrayBuffer over pinned memory");
  // From here on the buffer's finaliser owns what is held.
  held_[data] = held.release();
  return Napi::ArrayBuffer(env, buffer);
}

cuda::PinnedBlock* PinnedBuffers::find(Napi::ArrayBuffer buffer) {
  return share(buffer).get();
}

std::shared_ptr<cuda::PinnedBlock> PinnedBuffers::share(Napi::ArrayBuffer buffer) {
  if (buffer.IsDetached()) return nullptr;
  const auto entry = held_.find(buffer.Data());
  return entry == held_.end() ? nullptr : entry->second->block;
}

void PinnedBuffers::release(Napi::ArrayBuffer buffer) {
  if (buffer.IsDetached()) return;
  const auto entry = held_.find(buffer.Data());
  if (entry == held_.end()) return;
  buffer.Detach();
  // The finaliser follows later; until then the entry would find the wrong buffer.
  const std::shared_ptr<cuda::PinnedBlock> block = std::move(entry->second->block);
  held_.erase(entry);
}

void PinnedBuffers::finalize(void* hint) noexcept {
  const std::unique_ptr<Held> held(static_cast<Held*>(hint));
  if (held->block) held->owner->held_.erase(held->block->data());
}

}  // namespace tensorrt_node::binding
