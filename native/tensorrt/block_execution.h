// An execution context of a plan that has no weights of its own: they are inputs, so that one plan runs a decoder's
// equal blocks, each with its weights' addresses. The caller owns all memory and says on which stream work is queued.
#pragma once

#include <NvInferRuntime.h>
#include <cuda.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../cuda/device_pool.h"
#include "../cuda/stream.h"
#include "engine.h"
#include "layer_profiler.h"

namespace tensorrt_node::tensorrt {

// An input's name and dimensions.
using NamedShape = std::pair<std::string_view, Shape>;

// For one thread at a time. What it queues must be done before it goes. A graph that holds its work must not be
// launched after its shapes were set again: have one of these for each number of rows that is captured.
class BlockExecution {
 public:
  // Throws TensorrtError, also for plans that read inputs on the host, and CudaError.
  BlockExecution(std::shared_ptr<const Engine> engine, const std::string& name);
  ~BlockExecution();
  BlockExecution(const BlockExecution&) = delete;
  BlockExecution& operator=(const BlockExecution&) = delete;

  const Engine& engine() const noexcept { return *engine_; }

  // Sets the shapes of dynamic inputs, all of them, and the first profile that holds them. Not while `stream`, on which
  // the work will be queued, is captured; and the first enqueue() after it should not be captured either, as TensorRT
  // may have things to prepare. Throws TensorrtError.
  void setShapes(std::span<const NamedShape> shapes, const cuda::Stream& stream);
  // Of an input or output, after setShapes(). Throws std::invalid_argument for a name that there is not.
  Shape dims(std::string_view tensor) const;
  std::size_t bytes(std::string_view tensor) const;

  // Scratch memory for the shapes, in bytes. Executions that never run at once, being queued on one stream, may share
  // theirs. The memory must be there whenever work that was queued with it runs, graphs included.
  std::size_t scratchBytes() const noexcept { return scratchBytes_; }
  // Throws std::invalid_argument for too few bytes.
  void setScratch(CUdeviceptr address, std::size_t bytes);

  // Where an input or output is from the next enqueue() on; a multiple of 256 bytes for inputs. Throws TensorrtError,
  // std::invalid_argument for a name that there is not.
  void setAddress(std::string_view tensor, CUdeviceptr address);

  // Queues the network, or captures it. All addresses, shapes and the scratch must have been set. Throws TensorrtError,
  // and CudaError where a kernel of ours could not be queued.
  void enqueue(const cuda::Stream& stream);

  // As the functions of the same names in layer_profiler.h.
  void timeLayers(LayerProfiler& profiler);
  void reportLayers() const;
  // As Engine::layerInformation(), with the shapes that were set.
  std::string layerInformation() const { return engine_->layerInformation(context_.get()); }

 private:
  const TensorInfo& find(std::string_view tensor) const;
  int profileFor(std::span<const NamedShape> shapes) const;

  const std::shared_ptr<const Engine> engine_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  std::size_t scratchBytes_ = 0;
};

}  // namespace tensorrt_node::tensorrt
