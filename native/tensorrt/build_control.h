// What the caller of a build does while it is under way: cancels it, and answers the calibrator.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "tensor_info.h"

namespace tensorrt_node::tensorrt {

struct BatchTensor {
  std::vector<std::byte> bytes;
  Shape dims;
};

// By the names of inputs.
using Batch = std::map<std::string, BatchTensor>;

// Safe from any thread.
class BuildControl {
 public:
  // The build ends with AbortedError at its next step.
  void cancel() noexcept;
  // The calibrator's next batch; nothing when there are no more.
  void provideBatch(std::optional<Batch> batch);

  // The build ends with `error` at its next step: for callbacks of TensorRT, which cannot throw. The first one counts.
  void fail(std::exception_ptr error) noexcept;
  // Whether the build is to end.
  bool stopped() const noexcept;
  // Throws AbortedError or what fail() was given.
  void throwIfStopped() const;
  // Waits for a batch; nothing when there are no more, or the build is to end.
  std::optional<Batch> nextBatch();

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool cancelled_ = false;
  std::exception_ptr failure_;
  std::queue<std::optional<Batch>> batches_;
};

}  // namespace tensorrt_node::tensorrt
