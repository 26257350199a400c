#include "engine_parts.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "../../cuda/stream.h"
#include "../../tensorrt/block_execution.h"

namespace tensorrt_node::decode {
namespace {

class EnginePart final : public Part {
 public:
  EnginePart(std::shared_ptr<const tensorrt::Engine> engine, std::shared_ptr<const MovableMemory> scratch)
      : scratch_(std::move(scratch)), execution_(engine, engine->info().name) {}

  void bind(const std::string& tensor, CUdeviceptr address) override { execution_.setAddress(tensor, address); }
  void shape(const std::string& input, std::span<const std::int64_t> dims) override {
    tensorrt::Shape& known = shapes_[input];
    if (std::equal(dims.begin(), dims.end(), known.begin(), known.end())) return;
    known.assign(dims.begin(), dims.end());
    changed_ = true;
  }
  void enqueue(const cuda::Stream& stream) override {
    if (changed_) {
      const std::vector<tensorrt::NamedShape> shapes(shapes_.begin(), shapes_.end());
      execution_.setShapes(shapes, stream);
      execution_.setScratch(scratch_->address(), scratch_->size());
      changed_ = false;
    }
    execution_.enqueue(stream);
  }
  void timeLayers(tensorrt::LayerProfiler& profiler) override { execution_.timeLayers(profiler); }
  void reportLayers() override { execution_.reportLayers(); }
  std::string layerInformation() const override { return execution_.layerInformation(); }

 private:
  const std::shared_ptr<const MovableMemory> scratch_;
  tensorrt::BlockExecution execution_;
  std::map<std::string, tensorrt::Shape> shapes_;
  bool changed_ = true;
};

std::int64_t scratchOf(const tensorrt::Engine& engine) {
  std::int64_t bytes = 1;
  for (int profile = 0; profile < engine.info().profiles; ++profile)
    bytes = std::max(bytes, engine.deviceMemoryBytes(profile));
  return bytes;
}

}  // namespace

EngineParts::EngineParts(const tensorrt::DeviceMemory& memory, std::vector<PartEngines> engines)
    : engines_(std::move(engines)) {
  std::int64_t bytes = 1;
  for (const PartEngines& part : engines_)
    for (const auto& engine : {part.decode, part.wide, part.prefill})
      if (engine != nullptr) bytes = std::max(bytes, scratchOf(*engine));
  scratch_ = std::make_shared<MovableMemory>(memory, static_cast<std::size_t>(bytes));
}

std::unique_ptr<Part> EngineParts::make(std::size_t part, Range range) {
  const PartEngines& engines = engines_.at(part);
  const auto& own = range == Range::wide ? engines.wide : range == Range::prefill ? engines.prefill : engines.decode;
  return std::make_unique<EnginePart>(own == nullptr ? engines.decode : own, scratch_);
}

}  // namespace tensorrt_node::decode
