// From an ONNX file to a plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../cuda/context.h"
#include "build_control.h"
#include "build_request.h"
#include "libraries.h"
#include "progress_monitor.h"

namespace tensorrt_node::tensorrt {

struct BuildResult {
  std::size_t planBytes = 0;
  // Of the network as it was parsed.
  std::int32_t layers = 0;
  // Patterns of the overrides that matched no layer.
  std::vector<std::string> unmatched;
  // The timing cache's file could be used.
  bool timingCacheUsed = false;
};

// Builds on this thread, for seconds to hours, and writes plan and caches. TensorRT may end the process on a hard
// graph: call it in one that may go. Throws TensorrtError with what TensorRT logged, UnsupportedError, AbortedError,
// FileError, CudaError; no plan is left behind then.
BuildResult build(const Libraries& libraries, const std::shared_ptr<const cuda::Context>& context,
                  const BuildRequest& request, BuildListener& listener, BuildControl& control);

}  // namespace tensorrt_node::tensorrt
