// How the kernels for many rows share out a product with a packed weight among blocks. Rows of x are no part of it, so
// that what a row is added up by does not depend on others.
#pragma once

#include <cstddef>
#include <cstdint>

#include "geometry.h"
#include "quantized_format.h"

namespace tensorrt_node::kernels {

struct QuantizedDivision {
  // Of a slice: warps of a block that take whole chunks of a panel of tiles, in turn with other slices.
  std::int32_t warps;
  std::int32_t slices;
  // Runs of tiles, one or more panels each, and blocks that share a run of one panel by its chunks.
  std::int32_t runs;
  std::int32_t splits;
  // Tiles of a run; the first `moreTiles` runs have one more. Likewise chunks of a block.
  std::int32_t tiles;
  std::int32_t moreTiles;
  std::int32_t chunks;
  std::int32_t moreChunks;
};

constexpr int quantizedPanelTiles(int warps) {
  return warps * quantizedManyTiles;
}

// Of matrices that have more tiles than this for each block, panels are large, so that x is read less often; those of
// others are small, so that less is left to be added up by the block that comes last. A little less small where that
// keeps more of the GPU busy.
constexpr int quantizedSmallPanel = quantizedPanelTiles(quantizedManyWarps / 4);
constexpr int quantizedMiddlePanel = quantizedPanelTiles(quantizedManyWarps * 5 / 16);
constexpr int quantizedLargePanel = quantizedPanelTiles(quantizedManyWarps / 2);

constexpr QuantizedDivision quantizedDivision(std::int64_t tiles, std::int64_t inner, int multiprocessors) {
  const auto all = static_cast<int>(tiles);
  const int most = multiprocessors < quantizedManyMostBlocks ? multiprocessors : quantizedManyMostBlocks;
  const int chunks = static_cast<int>((inner + quantizedChunk - 1) / quantizedChunk);
  if (all > most * quantizedSmallPanel) {
    // As few warps as take a run in so many panels: one that has nothing to add up costs what it takes up.
    const int run = divideUp(all, most);
    const int panel = divideUp(run, divideUp(run, quantizedLargePanel));
    const int warps = divideUp(panel, quantizedManyTiles);
    return {warps, quantizedManyWarps / warps, most, 1, all / most, all % most, chunks, 0};
  }
  const auto divided = [&](int warps) {
    const int runs = divideUp(all, quantizedPanelTiles(warps));
    int splits = most / runs;
    if (splits > chunks / quantizedManyLeastChunks) splits = chunks / quantizedManyLeastChunks;
    if (splits < 1) splits = 1;
    return QuantizedDivision{
        warps, quantizedManyWarps / warps, runs, splits, all / runs, all % runs, chunks / splits, chunks % splits};
  };
  const auto blocksOf = [](const QuantizedDivision& division) { return division.runs * division.splits; };
  QuantizedDivision division = divided(quantizedManyWarps / 4);
  // Smaller ones yet where they leave most of the GPU with nothing to do.
  while (division.warps > 1 && 2 * blocksOf(division) <= most) division = divided(division.warps / 2);
  if (division.splits > 1 && 5 * blocksOf(division) < 4 * most) {
    const QuantizedDivision other = divided(quantizedMiddlePanel / quantizedManyTiles);
    if (blocksOf(other) > blocksOf(division)) division = other;
  }
  return division;
}

// What blocks leave for the last of a panel, of eight rows of x, at most.
constexpr std::size_t quantizedPartialBytes(std::int64_t tiles) {
  // A run that is split is one such panel, at most, and there are not more blocks than that.
  return tiles > quantizedManyMostBlocks * quantizedSmallPanel
             ? 0
             : std::size_t{quantizedManyMostBlocks} * quantizedMiddlePanel * quantizedTile * linearColumn *
                   sizeof(float);
}

}  // namespace tensorrt_node::kernels
