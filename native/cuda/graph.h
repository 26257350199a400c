// A CUDA graph: work recorded once from a stream, and launched again in one call.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "context.h"
#include "stream.h"

namespace tensorrt_node::cuda {

// Of what has been captured from the stream so far: the kernels, copies and sets. None where nothing is being captured,
// or the driver does not tell.
std::optional<std::size_t> capturedWork(const Stream& stream);

class Graph {
 public:
  // Records what `queue` queues on the stream, none of which is done by that. Throws CudaError when something of it
  // cannot be recorded, or what `queue` throws; the stream is good again either way.
  static Graph capture(const Stream& stream, const std::function<void()>& queue);

  // Work under way is still done.
  ~Graph();
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;

  // Queues all of it on the stream, which may be another one of the same device. Launches of one graph are done one
  // after the other.
  void launch(const Stream& stream) const;

 private:
  explicit Graph(std::shared_ptr<const Context> context) noexcept : context_(std::move(context)) {}

  std::shared_ptr<const Context> context_;
  CUgraphExec handle_ = nullptr;
  // As GraphTracing says.
  std::uint64_t tracedIn_ = 0;
};

}  // namespace tensorrt_node::cuda
