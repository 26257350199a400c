#include "failure.h"

#include <algorithm>
#include <exception>
#include <string_view>
#include <vector>

#include "../cuda/error.h"
#include "error.h"

namespace tensorrt_node::tensorrt {
namespace {

bool saysOutOfMemory(const std::string& line) noexcept {
  // Of the log, of TensorRT's error codes and of cudaGetErrorString.
  for (const std::string_view words : {"out of memory", "OutOfMemory", "OUT_OF_MEMORY"})
    if (line.find(words) != std::string::npos) return true;
  return false;
}

// Other errors of callbacks are among the lines, with what TensorRT made of them.
void throwIfCuda(const std::exception_ptr& cause) {
  if (cause == nullptr) return;
  try {
    std::rethrow_exception(cause);
  } catch (const TensorrtError&) {
    return;
  }
}

}  // namespace

void throwFailure(const char* call, const LogCapture& log, const std::string& what, const std::string& hint) {
  throwIfCuda(log.cause());
  const std::vector<std::string> lines = log.errors();
  const std::string text = withLines(what, lines);
  if (std::any_of(lines.begin(), lines.end(), saysOutOfMemory))
    throw cuda::CudaError(CUDA_ERROR_OUT_OF_MEMORY, call, text);
  throw TensorrtError(call, text, hint);
}

}  // namespace tensorrt_node::tensorrt
