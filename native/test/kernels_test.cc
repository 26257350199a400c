// The launchers, on the simulated driver's references.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cuda/copy.h"
#include "cuda/device_pool.h"
#include "cuda/graph.h"
#include "kernels/kernels.h"
#include "kernels/launch.h"
#include "simulated.h"

namespace cuda = tensorrt_node::cuda;
using namespace tensorrt_node::kernels;

namespace {

// A device with its kernels; memory is written and read between waits.
struct Gpu {
  std::shared_ptr<const cuda::Context> context = test::context();
  std::shared_ptr<const Kernels> kernels = Kernels::of(context);
  cuda::Stream stream{context, "kernels"};
  cuda::DevicePool pool{context};
  std::vector<cuda::DeviceBlock> blocks;
  cuda::Current current{*context};

  void* empty(std::size_t bytes) {
    blocks.push_back(pool.allocate(bytes, stream));
    return reinterpret_cast<void*>(blocks.back().address());
  }
  // The simulated device's memory is the host's.
  template <typename Value>
  Value* put(const std::vector<Value>& values) {
    auto* memory = static_cast<Value*>(empty(values.size() * sizeof(Value)));
    std::memcpy(memory, values.data(), values.size() * sizeof(Value));
    return memory;
  }
  template <typename Value>
  std::vector<Value> take(const void* from, std::size_t count) {
    stream.synchronize();
    const auto* values = static_cast<const Value*>(from);
    return {values, values + count};
  }
};

// bfloat16 of numbers that it holds exactly.
std::uint16_t bfloat(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  return static_cast<std::uint16_t>(bits >> 16);
}
std::vector<std::uint16_t> bfloats(const std::vector<float>& values) {
  std::vector<std::uint16_t> out;
  for (const float value : values) out.push_back(bfloat(value));
  return out;
}
float fromBfloat(std::uint16_t bits) {
  const std::uint32_t all = static_cast<std::uint32_t>(bits) << 16;
  float value = 0;
  std::memcpy(&value, &all, 4);
  return value;
}

void checkNear(float actual, float expected, float within) {
  if (!(std::abs(actual - expected) <= within)) CHECK_EQUAL(actual, expected);
}

}  // namespace

TEST(kernels_are_loaded_once_a_context_and_unloaded_with_their_last_owner) {
  const auto context = test::context();
  {
    const auto kernels = Kernels::of(context);
    CHECK(Kernels::of(context) == kernels);
    CHECK_EQUAL(kernels->multiprocessors(), 132);
  }
  CHECK(simulatorCalls("cuModuleLoadData") > 0);
  CHECK_EQUAL(simulatorCalls("cuModuleLoadData"), simulatorCalls("cuModuleUnload"));
}

TEST(a_module_that_does_not_load_is_an_error_with_its_name_and_leaves_nothing) {
  const auto context = test::context();
  simulatorFail("cuModuleLoadData", 2, 1, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  const auto error = CHECK_THROWS(Kernels::of(context), cuda::CudaError);
  CHECK_EQUAL(error.call(), "cuModuleLoadData");
  CHECK_CONTAINS(error.what(), "rms_norm");
  CHECK_CONTAINS(error.hint(), "update the driver");
}

TEST(a_refused_launch_names_its_kernel) {
  Gpu gpu;
  simulatorFail("cuLaunchKernelEx", 1, 1, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  EmbedParameters p{};
  p.rows = 1;
  const auto error = CHECK_THROWS(embed(*gpu.kernels, gpu.stream.handle(), ElementType::float16, p), cuda::CudaError);
  CHECK_EQUAL(error.call(), "cuLaunchKernelEx");
  CHECK_CONTAINS(error.what(), "embed_float16");
}

TEST(embed_takes_rows_of_the_table_and_zeros_for_tokens_outside) {
  Gpu gpu;
  const auto* tokens = gpu.put<std::int32_t>({2, 0, -1, 3});
  const auto* table = gpu.put<std::uint16_t>({1, 2, 3, 4, 5, 6});
  void* out = gpu.empty(16);
  embed(*gpu.kernels, gpu.stream.handle(), ElementType::float16,
        {.tokens = tokens, .table = table, .out = out, .rows = 4, .width = 2, .vocabulary = 3});
  CHECK(gpu.take<std::uint16_t>(out, 8) == (std::vector<std::uint16_t>{5, 6, 1, 2, 0, 0, 0, 0}));
}

TEST(rms_norm_adds_what_is_skipped_and_keeps_the_sum) {
  Gpu gpu;
  const auto* x = gpu.put(bfloats({1, 2, 3, 4}));
  const auto* skip = gpu.put(bfloats({2, 2, -3, -4}));
  const auto* weight = gpu.put(bfloats({1, 2}));
  void* y = gpu.empty(8);
  void* sum = gpu.empty(8);
  const RmsNormParameters p{
      .x = x, .skip = skip, .weight = weight, .y = y, .sum = sum, .rows = 2, .width = 2, .epsilon = 0.5F};
  rmsNorm(*gpu.kernels, gpu.stream.handle(), ElementType::bfloat16, p);
  CHECK(gpu.take<std::uint16_t>(sum, 4) == bfloats({3, 4, 0, 0}));
  const auto out = gpu.take<std::uint16_t>(y, 4);
  checkNear(fromBfloat(out[0]), 3 / std::sqrt(13.F), 0.01F);
  checkNear(fromBfloat(out[1]), 8 / std::sqrt(13.F), 0.02F);
  CHECK_EQUAL(fromBfloat(out[2]), 0.F);
}
