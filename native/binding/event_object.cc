// class Event in JavaScript.

#include "errors.h"
#include "objects.h"
#include "unwrap.h"

namespace tensorrt_node::binding {

Napi::Function EventObject::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceMethod<&EventObject::millisecondsSince>("millisecondsSince"),
                         InstanceMethod<&EventObject::dispose>("dispose"),
                     });
}

EventObject::EventObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
  guarded(info.Env(), [&] {
    event_.emplace(unwrap<DeviceObject>(info[0]).gpu().context,
                   cuda::EventOptions{.timing = info[1].As<Napi::Boolean>().Value()});
  });
}

cuda::Event& EventObject::event() {
  if (!event_) throw DisposedError("the event is disposed");
  return *event_;
}

Napi::Value EventObject::millisecondsSince(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return Napi::Number::New(info.Env(), event().millisecondsSince(unwrap<EventObject>(info[0]).event()));
  });
}

}  // namespace tensorrt_node::binding
