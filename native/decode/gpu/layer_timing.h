// Times the layers of a decoder's parts: each part's runs one by one, with TensorRT's profiler on their contexts.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "../../cuda/stream.h"
#include "../../tensorrt/layer_profiler.h"
#include "../step_layers.h"
#include "decoder_model.h"
#include "part.h"
#include "part_chain.h"

namespace tensorrt_node::decode {

// What is timed, made for some number of rows, and nothing but this uses.
struct TimedParts {
  PartChain::Contexts contexts;
  std::unique_ptr<Part> epilogue;
  RowInputs inputs;
  // Hidden rows of the epilogue.
  CUdeviceptr hidden;
};

class LayerTiming {
 public:
  // Calls `queue`, which queues run number `run` of the model, with its weights there.
  using WithWeights = std::function<void(std::size_t run, const std::function<void()>& queue)>;

  // All must outlive it.
  LayerTiming(const DecoderModel& model, const PartChain& chain, const cuda::Stream& stream, WithWeights withWeights)
      : model_(model), chain_(chain), stream_(stream), withWeights_(std::move(withWeights)) {}

  // `beginStep` is called before each step. Throws what steps throw, and AbortedError where `stopped` says so between
  // two. Waits for all that it queued.
  StepLayers time(TimedParts parts, const StepLayersRequest& request, const std::function<void()>& beginStep,
                  const std::function<bool()>& stopped);

 private:
  // By the part's number.
  using Profilers = std::map<std::size_t, tensorrt::LayerProfiler>;

  // Milliseconds of each.
  std::vector<float> steps(std::size_t count, const std::function<void()>& queue,
                           const std::function<bool()>& stopped) const;
  void queueRun(TimedParts& parts, std::size_t run) const;
  Part& partOf(TimedParts& parts, std::size_t run) const;

  const DecoderModel& model_;
  const PartChain& chain_;
  const cuda::Stream& stream_;
  const WithWeights withWeights_;
};

}  // namespace tensorrt_node::decode
