// The management library where there is none. What it tells of GPUs is compared with CUDA's word in test/gpu.
#include "cuda/nvml.h"

#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

TEST(a_machine_without_nvml_has_none) {
  CHECK(!cuda::Nvml::open("/no/such/libnvidia-ml.so.1"));
}

TEST(a_library_that_is_not_nvml_is_not_taken_for_it) {
  CHECK(!cuda::Nvml::open("libc.so.6"));
}
