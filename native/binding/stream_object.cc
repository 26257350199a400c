// class Stream in JavaScript: queues copies, orders them by events, and promises their end.
#include <cstddef>
#include <utility>

#include "../cuda/copy.h"
#include "errors.h"
#include "instance.h"
#include "objects.h"
#include "pageable_copy.h"
#include "unwrap.h"
#include "waiter.h"

namespace tensorrt_node::binding {
namespace {

// Part of the ordinary memory behind an ArrayBuffer.
std::span<std::byte> ordinary(Napi::ArrayBuffer buffer, const Napi::Value& offset, const Napi::Value& bytes) {
  return part({static_cast<std::byte*>(buffer.Data()), buffer.ByteLength()}, byteCount(offset), byteCount(bytes));
}

}  // namespace

Napi::Function StreamObject::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceMethod<&StreamObject::copyToDevice>("copyToDevice"),
                         InstanceMethod<&StreamObject::copyToHost>("copyToHost"),
                         InstanceMethod<&StreamObject::record>("record"),
                         InstanceMethod<&StreamObject::wait>("wait"),
                         InstanceMethod<&StreamObject::done>("done"),
                         InstanceMethod<&StreamObject::dispose>("dispose"),
                     });
}

StreamObject::StreamObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
  guarded(info.Env(), [&] {
    stream_.emplace(unwrap<DeviceObject>(info[0]).gpu().context, info[1].As<Napi::String>().Utf8Value());
  });
}

const cuda::Stream& StreamObject::stream() const {
  if (!stream_) throw DisposedError("the stream is disposed");
  return *stream_;
}

// copyToDevice(to: DeviceMemory, toOffset, from: ArrayBuffer, fromOffset, bytes)
void StreamObject::copyToDevice(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    cuda::DeviceBlock& to = unwrap<DeviceMemoryObject>(info[0]).block();
    const Napi::ArrayBuffer from = arrayBuffer(info[2]);
    if (cuda::PinnedBlock* const pinned = Instance::of(info.Env()).pinned().find(from)) {
      cuda::copyToDevice(stream(), to, byteCount(info[1]), *pinned, byteCount(info[3]), byteCount(info[4]));
    } else {
      binding::copyToDevice(stream(), to, byteCount(info[1]), ordinary(from, info[3], info[4]));
    }
  });
}

// copyToHost(to: ArrayBuffer, toOffset, from: DeviceMemory, fromOffset, bytes)
void StreamObject::copyToHost(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Napi::ArrayBuffer to = arrayBuffer(info[0]);
    cuda::DeviceBlock& from = unwrap<DeviceMemoryObject>(info[2]).block();
    if (cuda::PinnedBlock* const pinned = Instance::of(info.Env()).pinned().find(to)) {
      cuda::copyToHost(stream(), *pinned, byteCount(info[1]), from, byteCount(info[3]), byteCount(info[4]));
    } else {
      binding::copyToHost(stream(), ordinary(to, info[1], info[4]), from, byteCount(info[3]));
    }
  });
}

void StreamObject::record(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { stream().record(unwrap<EventObject>(info[0]).event()); });
}

void StreamObject::wait(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { stream().wait(unwrap<EventObject>(info[0]).event()); });
}

Napi::Value StreamObject::done(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Instance& instance = Instance::of(info.Env());
    cuda::Event event(stream().context());
    stream().record(event);
    if (waiter_ == nullptr) waiter_ = instance.makeWaiter();
    const Instance::Pending pending = instance.promise(info.This().As<Napi::Object>());
    waiter_->settleAfter(std::move(event), pending.number);
    return pending.promise;
  });
}

void StreamObject::dispose(const Napi::CallbackInfo&) {
  stream_.reset();
  if (waiter_ == nullptr) return;
  // Its thread must not wait for the garbage collector; nor JavaScript for the thread while promises are pending.
  waiter_->finish();
  if (waiter_->idle()) waiter_.reset();
}

}  // namespace tensorrt_node::binding
