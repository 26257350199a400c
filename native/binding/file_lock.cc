#include "file_lock.h"

#include <memory>
#include <optional>
#include <utility>

#include "../files/file_lock.h"
#include "errors.h"

namespace tensorrt_node::binding {

Napi::Value tryLock(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    std::optional<files::FileLock> lock = files::FileLock::tryLock(info[0].As<Napi::String>().Utf8Value());
    if (!lock) return env.Null();
    // Goes with the function when that is collected.
    const auto held = std::make_shared<std::optional<files::FileLock>>(std::move(lock));
    Napi::Object result = Napi::Object::New(env);
    result.Set("release", Napi::Function::New(
                              env, [held](const Napi::CallbackInfo&) { held->reset(); }, "release"));
    return result;
  });
}

}  // namespace tensorrt_node::binding
