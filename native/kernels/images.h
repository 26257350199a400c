// The compiled kernels inside this library: fatbins that scripts/build-kernels.mjs made and the build embedded.
#pragma once

#include <span>

namespace tensorrt_node::kernels {

struct Image {
  // The source it was compiled from, without its ending: "rms_norm".
  const char* name;
  const void* data;
};

// Empty where the library was built without nvcc.
std::span<const Image> embeddedImages() noexcept;

}  // namespace tensorrt_node::kernels
