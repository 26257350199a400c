// Packed matrices for tests: of random codes, with what they are as floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "halves.h"
#include "kernel_gpu.h"
#include "kernels/launch.h"

namespace test {

struct PackedMatrix {
  std::vector<std::int32_t> words;
  // [outer, inner]
  std::vector<float> values;
};

// Of 4-bit codes in blocks of 32 around their middle; scales are powers of two, so that products are nearly exact.
inline PackedMatrix packed(const tensorrt_node::kernels::QuantizedFormat& format, std::size_t outer,
                           std::size_t inner) {
  namespace kernels = tensorrt_node::kernels;
  const std::size_t blocks = (inner + 31) / 32;
  std::vector<std::uint8_t> codes(outer * blocks * 16);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(i * 37 + i / 7);
  std::vector<float> scales(outer * blocks);
  for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = i % 3 == 0 ? 0.0625F : 0.125F;
  PackedMatrix made;
  for (std::size_t row = 0; row < outer; ++row)
    for (std::size_t i = 0; i < inner; ++i) {
      const int code = codes[row * blocks * 16 + i / 2] >> (i % 2 * 4) & 15;
      made.values.push_back(static_cast<float>(code - 8) * scales[row * blocks + i / 32]);
    }
  Gpu gpu;
  const auto bytes = static_cast<std::size_t>(
      kernels::quantizedBytes(format, static_cast<std::int64_t>(outer), static_cast<std::int64_t>(inner)));
  void* const to = gpu.put(std::vector<std::uint8_t>(bytes));
  kernels::packQuantized(*gpu.kernels, gpu.stream.handle(),
                         {.codes = gpu.put(codes),
                          .scales = gpu.put(scales),
                          .zeroPoints = nullptr,
                          .packed = to,
                          .outer = static_cast<std::int64_t>(outer),
                          .inner = static_cast<std::int64_t>(inner),
                          .firstRow = 0,
                          .rows = static_cast<std::int64_t>(outer),
                          .format = format,
                          .block = 32,
                          .zeroPoint = 0,
                          .packedZeroPoints = 1,
                          .isSigned = 0,
                          .transposed = 0,
                          .scaleType = kernels::ElementType::float32,
                          .zeroPointType = kernels::ElementType::float32});
  made.words = gpu.take<std::int32_t>(to, bytes / 4);
  return made;
}

}  // namespace test
