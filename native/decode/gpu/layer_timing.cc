#include "layer_timing.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "../../cuda/error.h"
#include "../../cuda/event.h"
#include "../../cuda/graph.h"
#include "../../tensorrt/error.h"

namespace tensorrt_node::decode {
namespace {

// Nothing that was queued is under way any more when what it ran on goes.
class Drained {
 public:
  explicit Drained(const cuda::Stream& stream) noexcept : stream_(stream) {}
  ~Drained() {
    try {
      stream_.synchronize();
    } catch (const cuda::CudaError&) {
      // The context is lost, and the work with it.
      return;
    }
  }
  Drained(const Drained&) = delete;
  Drained& operator=(const Drained&) = delete;

 private:
  const cuda::Stream& stream_;
};

void checkStop(const std::function<bool()>& stopped) {
  if (stopped()) throw tensorrt::AbortedError();
}

}  // namespace

StepLayers LayerTiming::time(TimedParts given, const StepLayersRequest& request, const std::function<void()>& beginStep,
                             const std::function<bool()>& stopped) {
  // Contexts go before the profilers that they have.
  Profilers profilers;
  TimedParts parts = std::move(given);
  std::optional<cuda::Graph> graph;
  const Drained drained(stream_);
  const std::size_t runs = model_.runs.size();
  const auto queueAll = [&] {
    for (std::size_t run = 0; run < runs; ++run) queueRun(parts, run);
  };

  StepLayers told{.rows = 0, .parts = {}, .steps = {}};
  if (chain_.ranges().size() == 1 && !chain_.ranges().front().streamed) {
    beginStep();
    queueAll();
    graph = cuda::Graph::capture(stream_, queueAll);
  }
  const auto queueStep = [&] {
    beginStep();
    if (graph) {
      graph->launch(stream_);
    } else {
      queueAll();
    }
  };
  steps(request.warmUp + 1, queueStep, stopped);
  told.steps = steps(request.runs, queueStep, stopped);

  for (std::size_t run = 0; run < runs; ++run) {
    const std::size_t part = model_.runs[run].part;
    const auto [profiler, added] = profilers.try_emplace(part);
    if (added) {
      partOf(parts, run).timeLayers(profiler->second);
      told.parts.push_back({.part = part, .count = 0, .layers = {}, .information = {}});
    }
    ++std::ranges::find(told.parts, part, &PartLayers::part)->count;
  }
  // Some of what the profilers need is made in the first step with them.
  for (std::size_t step = 0; step < request.runs + 1; ++step) {
    checkStop(stopped);
    beginStep();
    for (std::size_t run = 0; run < runs; ++run) {
      if (step > 0) profilers.at(model_.runs[run].part).beginRun();
      queueRun(parts, run);
      // The next run of the part records the same events.
      stream_.synchronize();
      partOf(parts, run).reportLayers();
    }
  }
  for (PartLayers& part : told.parts) {
    part.layers = profilers.at(part.part).take();
    const auto run = std::ranges::find(model_.runs, part.part, &PartRun::part);
    part.information = partOf(parts, static_cast<std::size_t>(run - model_.runs.begin())).layerInformation();
  }
  return told;
}

std::vector<float> LayerTiming::steps(std::size_t count, const std::function<void()>& queue,
                                      const std::function<bool()>& stopped) const {
  cuda::Event start(stream_.context(), {.timing = true});
  cuda::Event end(stream_.context(), {.timing = true});
  std::vector<float> times;
  for (std::size_t i = 0; i < count; ++i) {
    checkStop(stopped);
    stream_.record(start);
    queue();
    stream_.record(end);
    stream_.synchronize();
    times.push_back(end.millisecondsSince(start));
  }
  return times;
}

Part& LayerTiming::partOf(TimedParts& parts, std::size_t run) const {
  return run + 1 == model_.runs.size() ? *parts.epilogue : *parts.contexts.part(model_.runs[run].part);
}

void LayerTiming::queueRun(TimedParts& parts, std::size_t run) const {
  withWeights_(run, [&] {
    if (run + 1 == model_.runs.size()) return chain_.queueEpilogue(*parts.epilogue, parts.hidden, stream_);
    chain_.queue(parts.contexts, {run, run + 1, false}, parts.inputs, stream_);
  });
}

}  // namespace tensorrt_node::decode
