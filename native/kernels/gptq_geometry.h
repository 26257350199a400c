// How work of GPTQ's kernels is cut into blocks, as kernels and their launchers both know it.
#pragma once

#include <cstddef>

namespace tensorrt_node::kernels {

// Squares of a product, and how much of the inner dimension comes at once.
constexpr int productTile = 128;
constexpr int productDepth = 8;
constexpr int productThreads = 256;

// Columns of a factor that are made at once.
constexpr int choleskyColumns = 64;
constexpr int choleskyThreads = 256;
// Rows below them that a block makes.
constexpr int choleskyRows = 64;

constexpr int hessianThreads = 256;

// Columns whose codes are chosen before those after them hear of what was lost.
constexpr int gptqColumns = 128;
// Of a block, each with a row of the weight.
constexpr int gptqWarps = 8;
// Of the Hessian's factor.
constexpr std::size_t gptqSharedBytes = std::size_t{gptqColumns} * gptqColumns * sizeof(float);

}  // namespace tensorrt_node::kernels
