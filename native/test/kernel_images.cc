// The tests' library embeds no compiled kernels: the simulated driver knows them by their names.
#include "kernels/images.h"

extern "C" {
extern const tensorrt_node::kernels::Image tensorrtNodeKernelImages[1];
extern const std::size_t tensorrtNodeKernelImageCount;
const tensorrt_node::kernels::Image tensorrtNodeKernelImages[1]{};
const std::size_t tensorrtNodeKernelImageCount = 0;
}
