// C++ errors become JavaScript ones. `code`, `call`, `result` and `hint` travel as properties; lib/native/errors.ts
// makes the typed error of them.
#pragma once

#include <napi.h>

#include <exception>
#include <stdexcept>
#include <utility>

namespace tensorrt_node::binding {

// An object that was disposed is used.
class DisposedError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// An object does one thing at a time and is at it.
class BusyError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// The JavaScript error for a C++ one.
Napi::Error toJavaScript(Napi::Env env, std::exception_ptr error);

// Runs `function`; what it throws reaches JavaScript.
template <typename Function>
auto guarded(Napi::Env env, Function&& function) -> decltype(function()) {
  try {
    return std::forward<Function>(function)();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw toJavaScript(env, std::current_exception());
  }
}

}  // namespace tensorrt_node::binding
