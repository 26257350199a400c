// A decoder's parts as TensorRT engines: contexts of plans without weights, that share one scratch memory.
#pragma once

#include <memory>
#include <vector>

#include "../../tensorrt/engine.h"
#include "movable_memory.h"
#include "part.h"

namespace tensorrt_node::decode {

// The engines of a part. Where one is null, `decode` serves.
struct PartEngines {
  std::shared_ptr<const tensorrt::Engine> decode;
  std::shared_ptr<const tensorrt::Engine> wide;
  std::shared_ptr<const tensorrt::Engine> prefill;
};

// For parts that are all queued on one stream. Parts may outlive it.
class EngineParts final : public PartFactory {
 public:
  // Allocates scratch memory for the largest shapes that the engines take. Throws CudaError.
  EngineParts(const tensorrt::DeviceMemory& memory, std::vector<PartEngines> engines);

  std::unique_ptr<Part> make(std::size_t part, Range range) override;
  std::uint64_t scratchBytes() const noexcept override { return scratch_->bytes(); }
  void give() noexcept override { scratch_->give(); }
  void take() override { scratch_->take(); }

 private:
  const std::vector<PartEngines> engines_;
  std::shared_ptr<MovableMemory> scratch_;
};

}  // namespace tensorrt_node::decode
