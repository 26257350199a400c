// How work is cut into blocks, as kernels and their launchers both know it.
#pragma once

#include "quantized_format.h"

namespace tensorrt_node::kernels {

constexpr int roundUp(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
constexpr int divideUp(int value, int divisor) {
  return (value + divisor - 1) / divisor;
}

// A thread's 16 bytes of 2-byte elements.
constexpr int elementsPerVector = 8;

constexpr int embedThreads = 128;
constexpr int gatedActivationThreads = 128;
constexpr int beginStepThreads = 64;
// Squares of a matrix, a column of threads for each few of its rows.
constexpr int convertTile = 32;
constexpr int convertTileRows = 8;

// Vectors that a thread keeps of a row, at most.
constexpr int rmsNormVectors = 4;
constexpr int rmsNormMaxThreads = 1024;

constexpr int linearWarps = 8;
// Rows of x in a tile of the tensor cores, such tiles that a block takes for one reading of the weight, and rows of the
// weight that it takes at once.
constexpr int linearColumn = 8;
constexpr int linearColumns[] = {1, 2, 4, 8};
constexpr int linearOuterRows[] = {16, 32, 64};
// Elements of the inner dimension that come at once, and how many such chunks there is room for: one is worked on.
constexpr int linearChunk(int outerRows) {
  return outerRows == 16 ? 256 : 128;
}
constexpr int linearStages(int outerRows) {
  return outerRows == 16 ? 3 : outerRows == 32 ? 6 : 4;
}
constexpr int linearPlainThreads = 128;

// Rows of x that the kernels for few rows are made for, the least that are enough being taken.
constexpr int gemvRows[] = {1, 2};

// Of their blocks.
constexpr int gemvWarps = 8;
// Blocks of a large matrix that are side by side on a multiprocessor.
constexpr int gemvBlocks = 2;
// Runs of 32 vectors of the weight that a warp adds up at once, of one row or half as many of each of two, and such
// units that it has on their way.
constexpr int gemvUnit = 4;
constexpr int gemvUnits = 3;

// Products with packed weights (quantized_format.h), a warp taking a chunk of a tile at once.
// Rows of x that the kernels which keep x in shared memory are made for, the least that are enough being taken.
constexpr int quantizedFewKernels[] = {1, 8};
// Of blocks for few rows, and such blocks that are side by side on a multiprocessor.
constexpr int quantizedFewWarps = 8;
constexpr int quantizedFewBlocks = 2;
// Chunks that each warp has in shared memory or on their way there.
constexpr int quantizedFewStages(int bits) {
  return bits == 4 ? 4 : 3;
}
// Of these the ones that are asked for while the kernel before still runs: memory is busy with them until it is done,
// and more would be in the way of x. All, where they are all that the block has.
constexpr int quantizedFewStagesBefore = 2;
// Tiles of the weight that a block's warps add up before they meet.
constexpr int quantizedFewBatch(int rows) {
  return rows >= 4 ? 1 : 4 / rows;
}
// Of the kernels for many rows: tiles of 8 rows of x, the least that are enough being taken, tiles of the weight that a
// warp adds up at once, and warps of a block that do.
constexpr int quantizedManyColumns[] = {2, 4};
constexpr int quantizedManyTiles = 2;
constexpr int quantizedManyWarps = 16;
// Warps that copy: so many the weight, and as many x.
constexpr int quantizedManyCopyParts = 2;
constexpr int quantizedManyCopyWarps = 2 * quantizedManyCopyParts;
constexpr int quantizedManyThreads = (quantizedManyWarps + quantizedManyCopyWarps) * 32;
// Chunks that are worked on or on their way, at most.
constexpr int quantizedManyStages = 4;
// Blocks of a row of them, at most, and chunks that are worth one.
constexpr int quantizedManyMostBlocks = 192;
constexpr int quantizedManyLeastChunks = 8;
// Rows of x of a launch, at most.
constexpr int quantizedManyMostRows = 128;
// Of kernels for whole matrices: threads, and runs or units of a tile that a warp takes.
constexpr int quantizedRowThreads = 128;
constexpr int quantizedRowRuns = 4;

constexpr int attentionHeadSizes[] = {64, 80, 96, 128, 256};
constexpr int attentionLargestHead = 256;
constexpr int attentionWarps = 4;
// Of a decode step: a tile each of a short context. Larger heads leave no shared memory for the sums of more.
constexpr int attentionDecodeWarps(int headSize) {
  return headSize > 128 ? 4 : 8;
}
// Blocks of a decode step that a multiprocessor has registers for.
constexpr int attentionDecodeBlocks(int headSize) {
  return headSize > 64 && headSize <= 128 ? 1 : 2;
}
// Tokens of a step, and rows (a query of a head) of a warp: what the matrix instructions take.
constexpr int attentionTokens = 16;
constexpr int attentionRows = 16;
// A split is not made for less.
constexpr int attentionTilesPerSplit = 8;
constexpr int attentionAppendThreads = 256;
// Joining more costs more than reading with more blocks saves.
constexpr int attentionMostSplits = 32;

// Heads of a group are taken in blocks, if they are more than a warp's rows.
constexpr int attentionHeadBlocks(int heads, int kvHeads) {
  return divideUp(heads / kvHeads, attentionRows);
}
// Queries of a warp in prefill: with the group's heads they fill its rows.
constexpr int attentionQueries(int heads, int kvHeads) {
  const int group = heads / kvHeads;
  return group >= attentionRows ? 1 : attentionRows / group;
}

// Counters of blocks that have arrived (Arrivals) that a user has, and users at once. Launches with more rows times
// head blocks than counters have one split.
constexpr int arrivalsOfLease = 512;
constexpr int arrivalLeases = 2048;

// Of a decode row, from the tile of its first token that is seen to the tile of its last.
struct AttentionSplits {
  int firstTile;
  int tiles;
  int tilesPerSplit;
  // Those that have tiles.
  int used;
};

constexpr AttentionSplits attentionSplitsOf(int position, int window, int splits) {
  const int first = window > 0 && position >= window ? (position - window + 1) / attentionTokens : 0;
  const int tiles = position / attentionTokens - first + 1;
  // Joining two splits takes longer than a second tile of each warp.
  if (tiles <= 2 * attentionTilesPerSplit) return {first, tiles, tiles, 1};
  const int evenly = divideUp(tiles, splits);
  const int perSplit = evenly < attentionTilesPerSplit ? attentionTilesPerSplit : evenly;
  return {first, tiles, perSplit, divideUp(tiles, perSplit)};
}

constexpr int samplePart = 1024;
constexpr int sampleScanThreads = 256;
constexpr int sampleScanWarps = sampleScanThreads / 32;
constexpr int sampleChooseThreads = 1024;
// Tokens that are sorted at most, a power of two, and bins of the logits that find them.
constexpr int sampleSorted = 2048;
constexpr int sampleBins = 2048;

}  // namespace tensorrt_node::kernels
