// What the kernels that choose codes by GPTQ are given (gptq.h): one struct each, by value. All matrices are float32,
// row-major and dense but where a stride is told, in device memory.
#pragma once

#include <cstdint>

namespace tensorrt_node::kernels {

// c = keep * c + factor * a * b.
struct MatrixProductParameters {
  const float* a;        // [m, k]; transposed: stored as [k, m]
  const float* b;        // [k, n]; transposed: stored as [n, k]
  float* c;              // [m, n]
  std::int64_t aStride;  // elements from row to row, as stored
  std::int64_t bStride;
  std::int64_t cStride;
  std::int32_t m;
  std::int32_t n;
  std::int32_t k;
  std::int32_t aTransposed;
  std::int32_t bTransposed;
  std::int32_t lower;  // elements above the diagonal are not wanted: they may be left as they are, or not
  float factor;
  float keep;  // 0: c is not read
};

// Damps a Hessian and turns it over, so that its last row and column come first.
struct ReverseHessianParameters {
  const float* hessian;       // [size, size], of which the lower triangle is read
  float* reversed;            // [size, size], of which the lower triangle is written
  const std::int32_t* order;  // [size]: which row comes when; null: as they are
  std::int32_t size;
  float damping;  // added to the diagonal
};

// Columns [first, first + width) of the lower triangular factor L of a matrix L * transpose(L), in its place; columns
// before them are done, and their share of the rest is taken off.
struct CholeskyParameters {
  float* matrix;  // [size, size]
  std::int32_t size;
  std::int32_t first;
  std::int32_t width;
  // Raised where the matrix is not positive definite.
  std::int32_t* failures;
};

// U and D of U * D * transpose(U), unit upper triangular and diagonal, of a matrix whose reversed factor is there.
struct UnitUpperParameters {
  const float* factor;  // [size, size], lower triangular
  float* upper;         // [size, size], of which what is above the diagonal is written
  float* diagonal;      // [size]
  std::int32_t size;
};

enum class GptqCodes : std::int32_t {
  symmetric,   // (code - 2^(bits - 1)) * scale
  zeroPoints,  // (code - zeroPoint) * scale
  int8,        // two's complement, -127 to 127
  float8,      // E4M3
};

// Chooses the codes of columns [first, first + gptqColumns) of all rows, one column after the other: what is lost in
// one is made up for in those after it, as far as they have to do with it.
struct GptqParameters {
  const float* weights;      // [rows, columns]
  float* targets;            // [rows, columns]: the weights, with what was lost in columns before `first` made up for
  const float* upper;        // [columns, columns]: of the Hessian, UnitUpperParameters
  const float* diagonal;     // [columns], likewise: what an error costs
  float* lost;               // [rows, gptqColumns]: the weights less what their codes stand for
  std::uint8_t* codes;       // [rows, columns], one a byte
  float* scales;             // [rows, blocks]; given where a row has one, else chosen
  std::uint8_t* zeroPoints;  // [rows, blocks], or null
  std::int32_t rows;
  std::int32_t columns;
  std::int32_t first;
  std::int32_t bits;
  std::int32_t block;   // 16 to gptqColumns, a power of two; 0: a row has one scale
  std::int32_t search;  // scales with the least squared error of a grid, not those of the largest value
  float scaling;        // scales are half precision numbers by this
  GptqCodes kind;
};

}  // namespace tensorrt_node::kernels
