// A CUDA graph: work recorded once from a stream, and launched again in one call.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

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
  // after the other, and made by one thread at a time. The first while a tool traces launches (graph_tracing.h),
  // and the first while none does, may take milliseconds.
  void launch(const Stream& stream) const;

 private:
  struct DestroyRecording {
    void operator()(CUgraph graph) const noexcept;
  };
  using Recording = std::unique_ptr<CUgraph_st, DestroyRecording>;

  Graph(std::shared_ptr<const Context> context, Recording recording) noexcept
      : context_(std::move(context)), recording_(std::move(recording)) {}
  static Recording endCapture(const Stream& stream, CUresult& result) noexcept;
  static Recording record(const Stream& stream, const std::function<void()>& queue);
  // Instantiated while launches were traced, or while they were not.
  CUgraphExec handle(bool traced, const Stream& stream) const;

  std::shared_ptr<const Context> context_;
  Recording recording_;
  // None is destroyed before the graph is: on an H100 that ended the process, or the work of others.
  mutable CUgraphExec untraced_ = nullptr;
  mutable CUgraphExec traced_ = nullptr;
};

}  // namespace tensorrt_node::cuda
