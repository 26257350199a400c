// The launchers that prepare weights and steps, on the simulated driver's references.
#include <cstdint>
#include <vector>

#include "kernel_gpu.h"
#include "kernels/launch.h"

using namespace tensorrt_node::kernels;
using test::Gpu;

TEST(a_decode_step_has_the_tokens_of_slots_that_run) {
  Gpu gpu;
  const auto* states = gpu.put<SlotState>({{.token = 7, .position = 3, .remaining = 1, .running = 1},
                                           {.token = 8, .position = 4, .remaining = 0, .running = 0},
                                           {.token = 9, .position = 5, .remaining = 2, .running = 1}});
  const auto* slots = gpu.put<std::int32_t>({0, 1, 2, -1});
  auto* tokens = gpu.put<std::int32_t>(std::vector<std::int32_t>(4, 99));
  auto* positions = gpu.put<std::int32_t>(std::vector<std::int32_t>(4, 99));
  auto* runStarts = gpu.put<std::int32_t>(std::vector<std::int32_t>(5, 99));
  auto* runSlots = gpu.put<std::int32_t>(std::vector<std::int32_t>(4, 99));
  beginStep(*gpu.kernels, gpu.stream.handle(),
            {.slots = slots,
             .states = states,
             .tokens = tokens,
             .positions = positions,
             .runStarts = runStarts,
             .runSlots = runSlots,
             .rows = 4});
  CHECK(gpu.take<std::int32_t>(tokens, 4) == std::vector<std::int32_t>({7, 0, 9, 0}));
  CHECK(gpu.take<std::int32_t>(positions, 4) == std::vector<std::int32_t>({3, 0, 5, 0}));
  CHECK(gpu.take<std::int32_t>(runStarts, 5) == std::vector<std::int32_t>({0, 1, 2, 3, 4}));
  CHECK(gpu.take<std::int32_t>(runSlots, 4) == std::vector<std::int32_t>({0, -1, 2, -1}));
}

TEST(weights_are_transposed_and_change_type) {
  Gpu gpu;
  // [3, 2] as stored, [2, 3] as wanted.
  const auto* in = gpu.put<float>({1, 2, 3, 4, 5, 6});
  auto* out = gpu.put<std::uint16_t>(std::vector<std::uint16_t>(6, 0));
  convert(*gpu.kernels, gpu.stream.handle(),
          {.in = in,
           .out = out,
           .rows = 2,
           .columns = 3,
           .inType = ElementType::float32,
           .outType = ElementType::float16,
           .transposed = 1});
  // 1, 3, 5, 2, 4, 6 in half precision.
  CHECK(gpu.take<std::uint16_t>(out, 6) ==
        std::vector<std::uint16_t>({0x3C00, 0x4200, 0x4500, 0x4000, 0x4400, 0x4600}));
}

TEST(codes_become_weights) {
  Gpu gpu;
  // Two rows of three columns in blocks of two: four codes a row.
  const auto* codes = gpu.put<std::uint8_t>({0x21, 0x03, 0x54, 0x0F});
  const auto* scales = gpu.put<float>({1, 2, 0.5F, 4});
  const auto dequantized = [&](const void* zeroPoints, bool packed, std::int32_t zeroPoint) {
    auto* out = gpu.put<float>(std::vector<float>(6, -1));
    dequantize(*gpu.kernels, gpu.stream.handle(),
               {.codes = codes,
                .scales = scales,
                .zeroPoints = zeroPoints,
                .out = out,
                .rows = 2,
                .columns = 3,
                .bits = 4,
                .block = 2,
                .zeroPoint = zeroPoint,
                .packedZeroPoints = packed ? 1 : 0,
                .scaleType = ElementType::float32,
                .zeroPointType = ElementType::float32,
                .outType = ElementType::float32});
    return gpu.take<float>(out, 6);
  };
  CHECK(dequantized(nullptr, true, 0) == std::vector<float>({1, 2, 6, 2, 2.5F, 60}));
  CHECK(dequantized(nullptr, true, 8) == std::vector<float>({-7, -6, -10, -2, -1.5F, 28}));
  // Packed: 1 and 2 for the first row, 3 and 4 for the second.
  CHECK(dequantized(gpu.put<std::uint8_t>({0x21, 0x43}), true, 8) == std::vector<float>({0, 1, 2, 0.5F, 1, 44}));
  CHECK(dequantized(gpu.put<float>({0.5F, 1, 0, -1}), false, 8) == std::vector<float>({0.5F, 1.5F, 4, 2, 2.5F, 64}));
}

TEST(codes_of_eight_bits_have_a_byte_each) {
  Gpu gpu;
  const auto* codes = gpu.put<std::uint8_t>({0, 128, 255, 7});
  const auto* scales = gpu.put<float>({2});
  auto* out = gpu.put<float>(std::vector<float>(4, -1));
  dequantize(*gpu.kernels, gpu.stream.handle(),
             {.codes = codes,
              .scales = scales,
              .zeroPoints = nullptr,
              .out = out,
              .rows = 1,
              .columns = 4,
              .bits = 8,
              .block = 4,
              .zeroPoint = 128,
              .packedZeroPoints = 1,
              .scaleType = ElementType::float32,
              .zeroPointType = ElementType::float32,
              .outType = ElementType::float32});
  CHECK(gpu.take<float>(out, 4) == std::vector<float>({-256, 0, 254, -242}));
}
