// Pinned blocks that JavaScript holds as ArrayBuffers, without a copy.
#pragma once

#include <napi.h>

#include <memory>
#include <unordered_map>

#include "../cuda/pinned_pool.h"

namespace tensorrt_node::binding {

// Of one environment. Each buffer shares ownership, because some are finalised after the environment's data is gone.
class PinnedBuffers : public std::enable_shared_from_this<PinnedBuffers> {
 public:
  // An ArrayBuffer over the block, which goes back to its pool when the buffer is collected or released. Throws where
  // the runtime allows no buffers of foreign memory.
  Napi::ArrayBuffer wrap(Napi::Env env, cuda::PinnedBlock block);
  // Over a block that has other owners, who keep it from the pool when the buffer is gone.
  Napi::ArrayBuffer wrap(Napi::Env env, std::shared_ptr<cuda::PinnedBlock> block);

  // The block behind a buffer made by wrap(); nullptr for any other, and for one that is detached.
  cuda::PinnedBlock* find(Napi::ArrayBuffer buffer);
  // The same, to be kept while work of another thread uses it, whatever becomes of the buffer.
  std::shared_ptr<cuda::PinnedBlock> share(Napi::ArrayBuffer buffer);

  // Detaches the buffer and gives its block back now. Nothing happens if it is detached already: whoever took its
  // memory (ArrayBuffer.prototype.transfer) may still use it, and the block follows when that is collected.
  void release(Napi::ArrayBuffer buffer);

 private:
  struct Held {
    std::shared_ptr<PinnedBuffers> owner;
    // Null once released.
    std::shared_ptr<cuda::PinnedBlock> block;
  };
  static void finalize(void* held) noexcept;

  // By address. A released block may be out again before its old buffer is finalised.
  std::unordered_map<const void*, Held*> held_;
};

}  // namespace tensorrt_node::binding
