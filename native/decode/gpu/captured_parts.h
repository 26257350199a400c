// How much of a graph each part of a model is, noted while the graph is captured: for profiles.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "../../cuda/stream.h"
#include "../../profile/step.h"

namespace tensorrt_node::decode {

class CapturedParts {
 public:
  // Made before the capture begins, for a stream that outlives this.
  explicit CapturedParts(const cuda::Stream& stream) noexcept : stream_(stream) {}

  // All that has been captured since the last call, or since the beginning, is of this part.
  void end(const std::string& name);
  // Null where the driver does not tell.
  std::shared_ptr<const profile::GraphParts> take();

 private:
  const cuda::Stream& stream_;
  profile::GraphParts parts_;
  std::size_t counted_ = 0;
  bool known_ = true;
};

}  // namespace tensorrt_node::decode
