// The management library, and where there is none. What the real one tells is compared with CUDA's word in test/gpu.
#include "cuda/nvml.h"

#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

TEST(a_machine_without_nvml_has_none) {
  CHECK(!cuda::Nvml::open("/no/such/libnvidia-ml.so.1"));
}

TEST(a_library_that_is_not_nvml_is_not_taken_for_it) {
  CHECK(!cuda::Nvml::open("libc.so.6"));
}

TEST(nvml_tells_of_cards_without_cuda) {
  const auto nvml = cuda::Nvml::open(SIMULATED_NVML_PATH);
  CHECK(nvml.has_value());
  CHECK(nvml->driverVersion() == "580.95.05");
  const auto gpus = nvml->gpus();
  CHECK(gpus.has_value());
  CHECK(gpus->size() == 2);
  CHECK(gpus->front().name == "NVIDIA Simulated 80GB");
  CHECK(!gpus->front().divided);
}

TEST(nvml_tells_of_a_cards_memory_and_traffic_by_its_place_on_the_bus) {
  const auto nvml = cuda::Nvml::open(SIMULATED_NVML_PATH);
  CHECK(nvml.has_value());
  const auto memory = nvml->memory("0000:3B:00.0");
  CHECK(memory.has_value());
  CHECK(memory->totalBytes == 80ULL << 30);
  CHECK(memory->usedBytes == 30ULL << 30);
  CHECK(memory->freeBytes == 50ULL << 30);
  const auto traffic = nvml->pcieTraffic("0000:3B:00.0");
  CHECK(traffic.has_value());
  CHECK(traffic->received == 51'200'000);
  CHECK(traffic->sent == 1'024'000);
}

TEST(nvml_tells_nothing_of_cards_that_keep_to_themselves_or_are_not_there) {
  const auto nvml = cuda::Nvml::open(SIMULATED_NVML_PATH);
  CHECK(nvml.has_value());
  for (const char* id : {"0000:AF:00.0", "0000:00:00.0", ""}) {
    CHECK(!nvml->memory(id));
    CHECK(!nvml->pcieTraffic(id));
  }
}
