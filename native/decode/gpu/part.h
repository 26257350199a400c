// One engine of a decoder: a prologue, a block or an epilogue, run on whatever memory it is told.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "../../cuda/stream.h"
#include "../../tensorrt/layer_profiler.h"

namespace tensorrt_node::decode {

// For one thread. All throw TensorrtError and CudaError.
class Part {
 public:
  virtual ~Part() = default;
  // Of an input or output, for what is enqueued from now on.
  virtual void bind(const std::string& tensor, CUdeviceptr address) = 0;
  // Of an input.
  virtual void shape(const std::string& input, std::span<const std::int64_t> dims) = 0;
  // Queues the work. May be captured in a graph, which is good as long as no shape is set again.
  virtual void enqueue(const cuda::Stream& stream) = 0;

  // Of what is enqueued from now on, each layer's time is taken; `profiler` must outlive this.
  virtual void timeLayers(tensorrt::LayerProfiler& profiler) = 0;
  // Tells the profiler of what was enqueued last, which must be done.
  virtual void reportLayers() = 0;
  // What TensorRT's inspector tells of the layers, as JSON text.
  virtual std::string layerInformation() const = 0;
};

// What a part was built for.
enum class Range : std::uint8_t {
  // A row for each of some sequences.
  decode,
  // The same, for more of them.
  wide,
  // Many rows of few sequences.
  prefill,
};

class PartFactory {
 public:
  virtual ~PartFactory() = default;
  // With shapes of its own, so that a graph of it stays good. Epilogues are Range::decode for any rows.
  virtual std::unique_ptr<Part> make(std::size_t part, Range range) = 0;
  // Device memory that all parts compute in, which is there now.
  virtual std::uint64_t scratchBytes() const noexcept = 0;
  // As of MovableMemory: no part may be under way until it is taken again, with CudaError where it cannot be.
  virtual void give() noexcept = 0;
  virtual void take() = 0;
};

}  // namespace tensorrt_node::decode
