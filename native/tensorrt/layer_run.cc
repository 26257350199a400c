#include "layer_run.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "../cuda/event.h"
#include "error.h"
#include "execution.h"

namespace tensorrt_node::tensorrt {
namespace {

// Runs of one execution, one after another.
class Runs {
 public:
  Runs(Execution& execution, const std::stop_token& stop)
      : execution_(execution),
        stop_(stop),
        start_(execution.stream().context(), {.timing = true}),
        end_(execution.stream().context(), {.timing = true}) {}

  // Milliseconds of each. `ended` is called behind each.
  std::vector<float> make(std::size_t count, const std::function<void()>& ended = {}) {
    std::vector<float> times;
    for (std::size_t i = 0; i < count; ++i) {
      if (stop_.stop_requested()) throw AbortedError();
      execution_.stream().record(start_);
      execution_.enqueue();
      execution_.stream().record(end_);
      execution_.stream().synchronize();
      times.push_back(end_.millisecondsSince(start_));
      if (ended) ended();
    }
    return times;
  }

 private:
  Execution& execution_;
  const std::stop_token& stop_;
  cuda::Event start_;
  cuda::Event end_;
};

}  // namespace

LayerProfile profileLayers(std::shared_ptr<const Engine> engine, std::span<const RunInput> inputs,
                           const LayerRunOptions& options, const std::stop_token& stop) {
  std::vector<InputView> views;
  for (const RunInput& input : inputs)
    views.push_back({input.dims, std::span<const std::byte>(input.block->bytes()).subspan(input.offset, input.bytes)});
  // The context goes first.
  LayerProfiler profiler;
  Execution execution(std::move(engine), "layers");
  execution.prepare(views);
  execution.copyInputs(views);
  Runs runs(execution, stop);
  runs.make(options.warmUp + 1);
  LayerProfile profile;
  profile.runs = runs.make(options.runs);
  execution.timeLayers(profiler);
  // Some of what the profiler needs is made in the first run with it.
  runs.make(1, [&] { execution.reportLayers(); });
  profile.profiledRuns = runs.make(options.runs, [&] {
    profiler.beginRun();
    execution.reportLayers();
  });
  profile.layers = profiler.take();
  profile.information = execution.layerInformation();
  return profile;
}

}  // namespace tensorrt_node::tensorrt
