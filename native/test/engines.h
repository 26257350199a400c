// Small engines on the simulated TensorRT, and runs of them.
#pragma once

#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "build.h"
#include "tensorrt/engine.h"
#include "tensorrt/run_queue.h"

namespace test {

inline tensorrt_node::tensorrt::RequestedRange range(std::vector<std::int64_t> min, std::vector<std::int64_t> opt,
                                                     std::vector<std::int64_t> max, bool values = false) {
  return {{std::move(min), std::move(opt), std::move(max)}, values};
}

inline std::string planOf(const OnnxModel& model, std::vector<tensorrt_node::tensorrt::RequestedProfile> profiles = {},
                          std::vector<std::string> flags = {}) {
  BuildRun build(model);
  build.request.profiles = std::move(profiles);
  build.request.flags = std::move(flags);
  build.run();
  return build.folder.read("model.plan");
}

// Three columns, each the sum of the four of a row of x. 1 to 8 rows, or 9 to 64.
inline std::string productPlan(std::vector<std::string> flags = {}) {
  return planOf(productModel({-1, 4}),
                {{{"x", range({1, 4}, {2, 4}, {8, 4})}}, {{"x", range({9, 4}, {16, 4}, {64, 4})}}}, std::move(flags));
}

// Indices of what is not zero, of eight: an output whose shape depends on data.
inline std::string nonZeroPlan() {
  return planOf(OnnxModel().input("x", {8}).output("y", OnnxType::int64).node("NonZero", {"x"}, {"y"}, "nonzero"));
}

// A row of three, as often as an input in host memory says.
inline std::string expandPlan() {
  return planOf(OnnxModel()
                    .input("x", {1, 3})
                    .input("s", {2}, OnnxType::int64)
                    .output("y")
                    .node("Expand", {"x", "s"}, {"y"}, "expand"),
                {{{"s", range({1, 3}, {2, 3}, {12, 3}, true)}}});
}

// Pools of its own, so that figures are of one test.
inline tensorrt_node::tensorrt::DeviceMemory memory(std::size_t deviceLimit = SIZE_MAX) {
  namespace cuda = tensorrt_node::cuda;
  const auto gpu = context();
  return {gpu, std::make_shared<cuda::PinnedPool>(gpu),
          std::make_shared<cuda::DevicePool>(gpu, cuda::PoolOptions{.name = "device", .limitBytes = deviceLimit})};
}

inline std::shared_ptr<const tensorrt_node::tensorrt::Engine> load(
    const std::string& plan, tensorrt_node::tensorrt::DeviceMemory where = memory(),
    const tensorrt_node::tensorrt::EngineOptions& options = {}) {
  return tensorrt_node::tensorrt::Engine::load(libraries(), std::move(where), std::as_bytes(std::span(plan)), options);
}

template <typename Element>
tensorrt_node::tensorrt::RunInput input(const tensorrt_node::tensorrt::Engine& engine,
                                        tensorrt_node::tensorrt::Shape dims, const std::vector<Element>& values) {
  namespace cuda = tensorrt_node::cuda;
  const std::size_t bytes = values.size() * sizeof(Element);
  const auto block = std::make_shared<cuda::PinnedBlock>(engine.memory().pinned->allocate(bytes));
  std::memcpy(block->data(), values.data(), bytes);
  return {std::move(dims), block, 0, bytes};
}

template <typename Element>
std::vector<Element> elements(const tensorrt_node::cuda::PinnedBlock& block) {
  tensorrt_node::cuda::noteHostAccess(block.data(), block.size(), false);
  std::vector<Element> values(block.size() / sizeof(Element));
  std::memcpy(values.data(), block.data(), block.size());
  return values;
}

template <typename Element>
Element last(const tensorrt_node::cuda::PinnedBlock& block) {
  return elements<Element>(block).back();
}

// A run whose end can be waited for.
struct AwaitedRun {
  using Outputs = std::vector<tensorrt_node::tensorrt::RunOutput>;
  explicit AwaitedRun(std::vector<tensorrt_node::tensorrt::RunInput> inputs)
      : run(std::make_shared<tensorrt_node::tensorrt::Run>(
            std::move(inputs), [promise = promise](Outputs outputs, std::exception_ptr error) {
              if (error) {
                promise->set_exception(error);
              } else {
                promise->set_value(std::move(outputs));
              }
            })) {}

  std::shared_ptr<std::promise<Outputs>> promise = std::make_shared<std::promise<Outputs>>();
  std::future<Outputs> result = promise->get_future();
  std::shared_ptr<tensorrt_node::tensorrt::Run> run;
};

}  // namespace test
