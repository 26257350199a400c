// The way of an exception out of a TensorRT callback: to the log, and to whoever called TensorRT on this thread.
#pragma once

#include <string>

namespace tensorrt_node::tensorrt::plugins {

// For catch blocks: reports the exception being handled, of `call` on `plugin`.
void report(const char* plugin, const char* call) noexcept;

// The result of `body`, or `otherwise` when it throws, which is reported.
template <typename Result, typename Body>
Result guarded(const char* plugin, const char* call, Result otherwise, Body body) noexcept {
  try {
    return body();
  } catch (...) {
    report(plugin, call);
    return otherwise;
  }
}

}  // namespace tensorrt_node::tensorrt::plugins
