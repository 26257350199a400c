#include "gptq.h"

#include <algorithm>
#include <stdexcept>

#include "geometry.h"
#include "gptq_geometry.h"

namespace tensorrt_node::kernels {

namespace {

unsigned count(int value) {
  return static_cast<unsigned>(value);
}

void require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

// Blocks that each make some of a row.
Grid rows(int size) {
  return {.x = count(divideUp(size, hessianThreads)), .y = count(size)};
}

}  // namespace

void matrixProduct(const Kernels& kernels, CUstream stream, const MatrixProductParameters& p) {
  if (p.m == 0 || p.n == 0) return;
  const int down = divideUp(p.m, productTile);
  require(down <= 65535, "matrixProduct: at most 8,388,480 rows");
  kernels.launch(stream, "matrix_product", {.x = count(divideUp(p.n, productTile)), .y = count(down)}, productThreads,
                 p);
}

void addToHessian(const Kernels& kernels, CUstream stream, const float* inputs, std::int32_t rows, std::int32_t size,
                  float* hessian, bool first) {
  matrixProduct(kernels, stream,
                {.a = inputs,
                 .b = inputs,
                 .c = hessian,
                 .aStride = size,
                 .bStride = size,
                 .cStride = size,
                 .m = size,
                 .n = size,
                 .k = rows,
                 .aTransposed = 1,
                 .bTransposed = 0,
                 .lower = 1,
                 .factor = 1,
                 .keep = first ? 0.0F : 1.0F});
}

void factorHessian(const Kernels& kernels, CUstream stream, const ReverseHessianParameters& hessian, float* upper,
                   float* diagonal, std::int32_t* failures) {
  const int size = hessian.size;
  float* const factor = hessian.reversed;
  require(size > 0 && size <= 65535, "factorHessian: 1 to 65535 inputs");
  kernels.launch(stream, "reverse_hessian", rows(size), hessianThreads, hessian);
  for (int first = 0; first < size; first += choleskyColumns) {
    const int width = std::min(choleskyColumns, size - first);
    const CholeskyParameters panel{factor, size, first, width, failures};
    kernels.launch(stream, "cholesky_diagonal", {}, choleskyThreads, panel);
    const int below = size - first - width;
    if (below == 0) break;
    kernels.launch(stream, "cholesky_below", {.x = count(divideUp(below, choleskyRows))}, choleskyRows, panel);
    const auto at = [&](int row, int column) { return factor + static_cast<std::int64_t>(row) * size + column; };
    const float* const done = at(first + width, first);
    matrixProduct(kernels, stream,
                  {.a = done,
                   .b = done,
                   .c = at(first + width, first + width),
                   .aStride = size,
                   .bStride = size,
                   .cStride = size,
                   .m = below,
                   .n = below,
                   .k = width,
                   .aTransposed = 0,
                   .bTransposed = 1,
                   .lower = 1,
                   .factor = -1,
                   .keep = 1});
  }
  kernels.launch(stream, "unit_upper", rows(size), hessianThreads, UnitUpperParameters{factor, upper, diagonal, size});
}

void gptq(const Kernels& kernels, CUstream stream, const GptqParameters& parameters) {
  if (parameters.rows == 0) return;
  GptqParameters p = parameters;
  require(p.block == 0 || (p.block >= 16 && p.block <= gptqColumns && (p.block & (p.block - 1)) == 0),
          "gptq: a block is 16, 32, 64 or 128 columns, or a row");
  require((p.block == 0) == (p.kind == GptqCodes::int8 || p.kind == GptqCodes::float8),
          "gptq: int8 and float8 have a scale a row, others one a block");
  for (p.first = 0; p.first < p.columns; p.first += gptqColumns) {
    kernels.launch(stream, "gptq", {.x = count(divideUp(p.rows, gptqWarps))}, gptqWarps * 32, p, gptqSharedBytes);
    const int next = p.first + gptqColumns;
    if (next >= p.columns) break;
    matrixProduct(kernels, stream,
                  {.a = p.lost,
                   .b = p.upper + static_cast<std::int64_t>(p.first) * p.columns + next,
                   .c = p.targets + next,
                   .aStride = gptqColumns,
                   .bStride = p.columns,
                   .cStride = p.columns,
                   .m = p.rows,
                   .n = p.columns - next,
                   .k = gptqColumns,
                   .aTransposed = 0,
                   .bTransposed = 0,
                   .lower = 0,
                   .factor = 1,
                   .keep = 1});
  }
}

}  // namespace tensorrt_node::kernels
