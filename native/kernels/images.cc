#include "images.h"

#include <cstddef>

// Of the assembly that scripts/build-kernels.mjs writes.
extern "C" {
extern const tensorrt_node::kernels::Image tensorrtNodeKernelImages[];
extern const std::size_t tensorrtNodeKernelImageCount;
}

namespace tensorrt_node::kernels {

std::span<const Image> embeddedImages() noexcept {
  return {tensorrtNodeKernelImages, tensorrtNodeKernelImageCount};
}

}  // namespace tensorrt_node::kernels
