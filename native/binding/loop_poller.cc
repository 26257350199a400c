#include "loop_poller.h"

#include <dlfcn.h>
#include <node_api.h>

#include <cstddef>
#include <utility>
#include <vector>

namespace tensorrt_node::binding {
namespace {

// The few functions of libuv that are used, found at run time: Node exports them, other runtimes may not, and their
// header is not part of Node-API's. Types are opaque; their sizes are asked for.
struct Uv {
  int (*idleInit)(uv_loop_s* loop, void* handle) = nullptr;
  int (*idleStart)(void* handle, void (*callback)(void* handle)) = nullptr;
  int (*idleStop)(void* handle) = nullptr;
  void (*close)(void* handle, void (*callback)(void* handle)) = nullptr;
  std::size_t (*handleSize)(int type) = nullptr;
  void (*setData)(void* handle, void* data) = nullptr;
  void* (*getData)(const void* handle) = nullptr;
};

// UV_IDLE of uv_handle_type, which is part of libuv's stable ABI.
constexpr int kIdle = 6;

template <typename Function>
bool find(const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, symbol));
  return function != nullptr;
}

const Uv* uv() {
  static Uv table;
  static const bool complete = find("uv_idle_init", table.idleInit) && find("uv_idle_start", table.idleStart) &&
                               find("uv_idle_stop", table.idleStop) && find("uv_close", table.close) &&
                               find("uv_handle_size", table.handleSize) && find("uv_handle_set_data", table.setData) &&
                               find("uv_handle_get_data", table.getData);
  return complete ? &table : nullptr;
}

// Bun has all of these functions, and ends the process when one is called.
bool runsOnLibuv(Napi::Env env) {
  const Napi::Value process = env.Global().Get("process");
  if (!process.IsObject()) return false;
  const Napi::Value versions = process.As<Napi::Object>().Get("versions");
  return versions.IsObject() && versions.As<Napi::Object>().Get("bun").IsUndefined();
}

}  // namespace

struct LoopPoller::Handle {
  // Null once that is destroyed.
  LoopPoller* owner = nullptr;
  std::function<bool()> poll;
  std::vector<std::max_align_t> storage;
  napi_async_cleanup_hook_handle hook = nullptr;
  bool started = false;
  bool closing = false;

  void* uvHandle() noexcept { return storage.data(); }

  void close() noexcept {
    if (std::exchange(closing, true)) return;
    uv()->idleStop(uvHandle());
    uv()->close(uvHandle(), [](void* handle) {
      const std::unique_ptr<Handle> self(static_cast<Handle*>(uv()->getData(handle)));
      if (self->owner != nullptr) self->owner->handle_ = nullptr;
      // The environment's end waits for this.
      napi_remove_async_cleanup_hook(self->hook);
    });
  }

  static void turn(void* handle) noexcept {
    auto* const self = static_cast<Handle*>(uv()->getData(handle));
    if (self->poll() || self->closing) return;
    self->started = false;
    uv()->idleStop(handle);
  }
};

std::unique_ptr<LoopPoller> LoopPoller::make(Napi::Env env, std::function<bool()> poll) {
  uv_loop_s* loop = nullptr;
  if (uv() == nullptr || !runsOnLibuv(env) || napi_get_uv_event_loop(env, &loop) != napi_ok) return nullptr;
  auto handle = std::make_unique<Handle>();
  handle->poll = std::move(poll);
  handle->storage.resize(uv()->handleSize(kIdle) / sizeof(std::max_align_t) + 1);
  // A worker whose loop still has handles when it ends would abort the process.
  const auto close = [](napi_async_cleanup_hook_handle, void* data) { static_cast<Handle*>(data)->close(); };
  if (napi_add_async_cleanup_hook(env, close, handle.get(), &handle->hook) != napi_ok) return nullptr;
  uv()->idleInit(loop, handle->uvHandle());
  uv()->setData(handle->uvHandle(), handle.get());
  return std::unique_ptr<LoopPoller>(new LoopPoller(handle.release()));
}

LoopPoller::LoopPoller(Handle* handle) noexcept : handle_(handle) {
  handle_->owner = this;
}

LoopPoller::~LoopPoller() {
  if (handle_ == nullptr) return;
  handle_->owner = nullptr;
  handle_->close();
}

void LoopPoller::start() noexcept {
  if (handle_ == nullptr || handle_->started || handle_->closing) return;
  handle_->started = true;
  uv()->idleStart(handle_->uvHandle(), Handle::turn);
}

}  // namespace tensorrt_node::binding
