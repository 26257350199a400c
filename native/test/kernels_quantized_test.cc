// The launchers of packed weights, on the simulated driver's references.
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "halves.h"
#include "kernel_gpu.h"
#include "kernels/launch.h"

using namespace tensorrt_node::kernels;
using test::Gpu;

namespace {

// Two rows of 32 codes in one block: the first has code 9 everywhere, the second codes 0 to 15 twice. Less 8, times 0.5
// and 2.
constexpr QuantizedFormat format{.codes = CodeType::uint4, .offsets = Offsets::middle, .block = 32, .gated = 0};

void* packed(Gpu& gpu) {
  std::vector<std::uint8_t> codes(16, 0x99);
  for (int i = 0; i < 16; ++i) codes.push_back(static_cast<std::uint8_t>((2 * i % 16) | (2 * i + 1) % 16 << 4));
  void* memory = gpu.put(std::vector<std::uint8_t>(quantizedBytes(format, 2, 32), 0));
  packQuantized(*gpu.kernels, gpu.stream.handle(),
                {.codes = gpu.put(codes),
                 .scales = gpu.put<float>({0.5F, 2}),
                 .zeroPoints = nullptr,
                 .packed = memory,
                 .outer = 2,
                 .inner = 32,
                 .firstRow = 0,
                 .rows = 2,
                 .format = format,
                 .block = 32,
                 .zeroPoint = 8,
                 .packedZeroPoints = 0,
                 .isSigned = 0,
                 .transposed = 0,
                 .scaleType = ElementType::float32,
                 .zeroPointType = ElementType::float32});
  return memory;
}

}  // namespace

TEST(packed_weights_are_within_three_percent_of_what_files_hold) {
  // Codes of 4 bits, a scale of 16 for 32 of them, and an offset of 4.
  CHECK(quantizedBytes(format, 4096, 4096) == 4096ULL * 4096 / 2 + 4096ULL * 128 * 2);
  const QuantizedFormat offsets{.codes = CodeType::uint4, .offsets = Offsets::codes, .block = 32, .gated = 0};
  CHECK(quantizedBytes(offsets, 4096, 4096) == 4096ULL * 4096 / 2 + 4096ULL * 128 * 2 + 4096ULL * 64);
  const QuantizedFormat rows{.codes = CodeType::float8, .offsets = Offsets::middle, .block = 0, .gated = 0};
  CHECK(quantizedBytes(rows, 960, 576) == 960ULL * 576 + 2048);
}

TEST(packed_weights_are_multiplied_embedded_and_unpacked) {
  Gpu gpu;
  const void* weight = packed(gpu);
  const auto* tokens = gpu.put<std::int32_t>({1, 2, 0});
  auto* rows = gpu.put<std::uint16_t>(std::vector<std::uint16_t>(3 * 32, 0xFFFF));
  quantizedEmbed(*gpu.kernels, gpu.stream.handle(), ElementType::float16,
                 {.tokens = tokens, .table = weight, .out = rows, .rows = 3, .width = 32, .vocabulary = 2}, format);
  auto* dense = gpu.put<std::uint16_t>(std::vector<std::uint16_t>(2 * 32, 0xFFFF));
  unpackQuantized(*gpu.kernels, gpu.stream.handle(), ElementType::float16,
                  {.packed = weight, .out = dense, .outer = 2, .inner = 32, .format = format});
  const auto embedded = gpu.take<std::uint16_t>(rows, 3 * 32);
  const auto unpacked = gpu.take<std::uint16_t>(dense, 2 * 32);
  for (std::size_t i = 0; i < 32; ++i) {
    const float second = 2 * (static_cast<float>(i % 16) - 8);
    CHECK(test::fromHalf(unpacked[i]) == 0.5F);
    CHECK(test::fromHalf(unpacked[32 + i]) == second);
    CHECK(test::fromHalf(embedded[i]) == second);
    CHECK(embedded[32 + i] == 0);
    CHECK(test::fromHalf(embedded[64 + i]) == 0.5F);
  }
  auto* y = gpu.put<float>({-1, -1});
  quantizedLinear(*gpu.kernels, gpu.stream.handle(), ElementType::float16,
                  {.x = dense,
                   .weight = weight,
                   .bias = nullptr,
                   .residual = nullptr,
                   .y = y,
                   .rows = 1,
                   .inner = 32,
                   .outer = 2,
                   .outputType = ElementType::float32},
                  format);
  // x is 0.5 everywhere; the second row's codes add up to 16 less than nothing.
  CHECK(gpu.take<float>(y, 2) == std::vector<float>({8, -16}));
}

TEST(what_no_kernel_was_made_for_is_refused) {
  Gpu gpu;
  CHECK(servesQuantized({CodeType::uint8, Offsets::codes, 0, 0}, 5, 7));
  CHECK(!servesQuantized({CodeType::uint4, Offsets::middle, 16, 0}, 64, 64));
  CHECK(!servesQuantized({CodeType::float8, Offsets::middle, 32, 0}, 64, 64));
  CHECK(!servesQuantized({CodeType::uint4, Offsets::middle, 32, 1}, 63, 64));
  CHECK_THROWS(unpackQuantized(*gpu.kernels, gpu.stream.handle(), ElementType::float16,
                               {.packed = nullptr,
                                .out = nullptr,
                                .outer = 64,
                                .inner = 64,
                                .format = {CodeType::uint4, Offsets::middle, 16, 0}}),
               std::invalid_argument);
}
