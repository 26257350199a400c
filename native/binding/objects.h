// The addon's JavaScript classes. Arguments were checked in lib/native; here they are only unpacked.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "../cuda/device_pool.h"
#include "../cuda/event.h"
#include "../cuda/stream.h"
#include "gpu.h"

namespace tensorrt_node::binding {

class Waiter;

// new Device(ordinal)
class DeviceObject : public Napi::ObjectWrap<DeviceObject> {
 public:
  static constexpr const char* kName = "Device";
  static constexpr napi_type_tag kTag{0x7c1f3f5b8a2b4e01, 0x9d5a6c1e4b7f2a01};
  static Napi::Function define(Napi::Env env);
  explicit DeviceObject(const Napi::CallbackInfo& info);

  Gpu& gpu() const noexcept { return *gpu_; }

 private:
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value allocatePinned(const Napi::CallbackInfo& info);
  Napi::Value pinnedStats(const Napi::CallbackInfo& info);
  Napi::Value trimPinned(const Napi::CallbackInfo& info);
  Napi::Value deviceStats(const Napi::CallbackInfo& info);
  Napi::Value trimDevice(const Napi::CallbackInfo& info);
  Napi::Value weightReadsPerSecond(const Napi::CallbackInfo& info);

  std::shared_ptr<Gpu> gpu_;
};

// new Event(device, timing)
class EventObject : public Napi::ObjectWrap<EventObject> {
 public:
  static constexpr const char* kName = "Event";
  static constexpr napi_type_tag kTag{0x7c1f3f5b8a2b4e02, 0x9d5a6c1e4b7f2a02};
  static Napi::Function define(Napi::Env env);
  explicit EventObject(const Napi::CallbackInfo& info);

  // Throws after dispose.
  cuda::Event& event();

 private:
  Napi::Value millisecondsSince(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo&) { event_.reset(); }

  std::optional<cuda::Event> event_;
};

// new Stream(device, name)
class StreamObject : public Napi::ObjectWrap<StreamObject> {
 public:
  static constexpr const char* kName = "Stream";
  static constexpr napi_type_tag kTag{0x7c1f3f5b8a2b4e03, 0x9d5a6c1e4b7f2a03};
  static Napi::Function define(Napi::Env env);
  explicit StreamObject(const Napi::CallbackInfo& info);

  // Throws after dispose.
  const cuda::Stream& stream() const;

 private:
  void copyToDevice(const Napi::CallbackInfo& info);
  void copyToHost(const Napi::CallbackInfo& info);
  void record(const Napi::CallbackInfo& info);
  void wait(const Napi::CallbackInfo& info);
  Napi::Value done(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  std::optional<cuda::Stream> stream_;
  // Made with the first promise.
  std::shared_ptr<Waiter> waiter_;
};

// new DeviceMemory(device, bytes, stream)
class DeviceMemoryObject : public Napi::ObjectWrap<DeviceMemoryObject> {
 public:
  static constexpr const char* kName = "DeviceMemory";
  static constexpr napi_type_tag kTag{0x7c1f3f5b8a2b4e04, 0x9d5a6c1e4b7f2a04};
  static Napi::Function define(Napi::Env env);
  explicit DeviceMemoryObject(const Napi::CallbackInfo& info);

  // Throws after dispose.
  cuda::DeviceBlock& block();

 private:
  void dispose(const Napi::CallbackInfo&) { block_.reset(); }

  cuda::DeviceBlock block_;
};

}  // namespace tensorrt_node::binding
