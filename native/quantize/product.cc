// Packed panels and a kernel of 6 x 16 results, as in BLIS (Van Zee and van de Geijn 2015).
#include "product.h"

#include <algorithm>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tensorrt_node::quantize {
namespace {

constexpr std::int64_t kRows = 6;
constexpr std::int64_t kColumns = 16;
// Panels that stay in the first and the second cache.
constexpr std::int64_t kDepth = 256;
constexpr std::int64_t kRowBlock = 96;
constexpr std::int64_t kColumnBlock = 512;

// tile[6, 16] = a[depth][6] times b[depth][16], both packed.
using Kernel = void (*)(const float* a, const float* b, std::int64_t depth, float* tile);

void plainKernel(const float* a, const float* b, std::int64_t depth, float* tile) {
  using Lanes = float __attribute__((vector_size(16)));
  Lanes sums[kRows][4] = {};
  for (std::int64_t step = 0; step < depth; ++step, a += kRows, b += kColumns) {
    Lanes column[4];
    __builtin_memcpy(column, b, sizeof(column));
    for (int row = 0; row < kRows; ++row)
      for (int part = 0; part < 4; ++part) sums[row][part] += column[part] * a[row];
  }
  __builtin_memcpy(tile, sums, sizeof(sums));
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void avx2Kernel(const float* a, const float* b, std::int64_t depth, float* tile) {
  __m256 sums[kRows][2];
  for (auto& row : sums) row[0] = row[1] = _mm256_setzero_ps();
  for (std::int64_t step = 0; step < depth; ++step, a += kRows, b += kColumns) {
    const __m256 left = _mm256_loadu_ps(b);
    const __m256 right = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
    for (int row = 0; row < kRows; ++row) {
      const __m256 factor = _mm256_broadcast_ss(a + row);
      sums[row][0] = _mm256_fmadd_ps(factor, left, sums[row][0]);
      sums[row][1] = _mm256_fmadd_ps(factor, right, sums[row][1]);
    }
  }
  for (int row = 0; row < kRows; ++row) {
    _mm256_storeu_ps(tile + row * kColumns, sums[row][0]);
    _mm256_storeu_ps(tile + row * kColumns + 8, sums[row][1]);
  }
}
#endif

Kernel bestKernel() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2Kernel;
#endif
  return plainKernel;
}

// Panels of `width` rows of the view, each [depth][width]; rows that are not there are zeros.
void pack(MatrixView view, std::int64_t rows, std::int64_t depth, std::int64_t width, std::vector<float>& packed) {
  const std::int64_t panels = (rows + width - 1) / width;
  packed.resize(static_cast<std::size_t>(panels * width * depth));
  float* to = packed.data();
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    const std::int64_t first = panel * width;
    const std::int64_t count = std::min(width, rows - first);
    const float* from = view.data + first * view.rowStride;
    for (std::int64_t step = 0; step < depth; ++step, from += view.columnStride, to += width) {
      for (std::int64_t row = 0; row < count; ++row) to[row] = from[row * view.rowStride];
      std::fill(to + count, to + width, 0.0F);
    }
  }
}

}  // namespace

void Multiplier::addProduct(float* result, std::int64_t resultStride, MatrixView a, MatrixView b, std::int64_t rows,
                            std::int64_t columns, std::int64_t depth, float sign) {
  static const Kernel kernel = bestKernel();
  float tile[kRows * kColumns];
  for (std::int64_t k = 0; k < depth; k += kDepth) {
    const std::int64_t deep = std::min(kDepth, depth - k);
    for (std::int64_t n = 0; n < columns; n += kColumnBlock) {
      const std::int64_t wide = std::min(kColumnBlock, columns - n);
      pack(b.at(k, n).transposed(), wide, deep, kColumns, packedB_);
      for (std::int64_t m = 0; m < rows; m += kRowBlock) {
        const std::int64_t high = std::min(kRowBlock, rows - m);
        pack(a.at(m, k), high, deep, kRows, packedA_);
        for (std::int64_t j = 0; j < wide; j += kColumns) {
          for (std::int64_t i = 0; i < high; i += kRows) {
            kernel(packedA_.data() + i * deep, packedB_.data() + j * deep, deep, tile);
            float* const to = result + (m + i) * resultStride + n + j;
            const std::int64_t height = std::min(kRows, high - i);
            const std::int64_t width = std::min(kColumns, wide - j);
            for (std::int64_t row = 0; row < height; ++row)
              for (std::int64_t column = 0; column < width; ++column)
                to[row * resultStride + column] += sign * tile[row * kColumns + column];
          }
        }
      }
    }
  }
}

}  // namespace tensorrt_node::quantize
