#include "captured_parts.h"

#include <utility>

#include "../../cuda/graph.h"

namespace tensorrt_node::decode {

void CapturedParts::end(const std::string& name) {
  const auto all = cuda::capturedWork(stream_);
  if (!all) known_ = false;
  if (!known_ || *all == counted_) return;
  parts_.push_back({name, *all - counted_});
  counted_ = *all;
}

std::shared_ptr<const profile::GraphParts> CapturedParts::take() {
  return known_ ? std::make_shared<const profile::GraphParts>(std::move(parts_)) : nullptr;
}

}  // namespace tensorrt_node::decode
