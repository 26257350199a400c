// class DeviceMemory in JavaScript: a block of the device's pool.

#include "errors.h"
#include "objects.h"
#include "unwrap.h"

namespace tensorrt_node::binding {

Napi::Function DeviceMemoryObject::define(Napi::Env env) {
  return DefineClass(env, kName, {InstanceMethod<&DeviceMemoryObject::dispose>("dispose")});
}

DeviceMemoryObject::DeviceMemoryObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
  guarded(info.Env(), [&] {
    const cuda::Stream& stream = unwrap<StreamObject>(info[2]).stream();
    block_ = unwrap<DeviceObject>(info[0]).gpu().device.allocate(byteCount(info[1]), stream);
  });
}

cuda::DeviceBlock& DeviceMemoryObject::block() {
  if (!block_) throw DisposedError("the device memory is disposed");
  return block_;
}

}  // namespace tensorrt_node::binding
