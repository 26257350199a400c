// What kernels leave in their workspaces for the next kernel, and how much shared memory they are launched with.
#pragma once

#include <cstddef>
#include <cstdint>

#include "geometry.h"
#include "quantized_division.h"
#include "quantized_format.h"

namespace tensorrt_node::kernels {

// Of a split of a head of a row: the largest score, in powers of two, and the sum of the exponentials relative to it.
// SplitState[rows, heads, splits] comes after float sums[rows, heads, splits, headSize].
struct SplitState {
  float most;
  float total;
};

// Of a part of a row's logits. PartState[rows, parts] comes before the warps' best tokens, by adjusted logits and by
// raw ones, std::uint64_t[rows, 2, parts, warps], and those before float adjusted[rows, vocabulary rounded up to 4].
struct PartState {
  // The largest adjusted logit as a key, and below it the complement of its token: the larger the better.
  std::uint64_t best;
  // The sum of all weights relative to it.
  std::uint64_t weight;
  // Of the raw logits: the largest, and the sum of the exponentials relative to it.
  float rawMost;
  float rawTotal;
  std::int32_t notNumbers;
  std::int32_t unused;
};

// The least number of elements that hold a head and are `rest` vectors more than a multiple of all banks.
constexpr int paddedStride(int headSize, int rest) {
  const int vectors = divideUp(headSize, elementsPerVector);
  return (vectors + (8 + rest - vectors % 8) % 8) * elementsPerVector;
}
// Rows of queries and keys in shared memory: two rows, four vectors of each, are read without conflicts.
constexpr int queryStride(int headSize) {
  return paddedStride(headSize, 4);
}
// Rows of values: every other of eight rows, two vectors of each.
constexpr int valueStride(int headSize) {
  return paddedStride(headSize, 1);
}

// A row of a warp's sums: neighbouring rows are in other banks.
constexpr int sumStride(int headSize) {
  return headSize + 8;
}
// Codes of the new key and value, and their scales.
constexpr std::size_t decodeCodeBytes(int headSize, bool scaled) {
  return scaled ? static_cast<std::size_t>(2 * headSize + 16) : 0;
}
// Queries, the new key and value, their codes, then each warp's sums, largest scores and totals.
constexpr std::size_t decodeSharedBytes(int group, int headSize, bool scaled) {
  const int rows = group < attentionRows ? group : attentionRows;
  return static_cast<std::size_t>((attentionRows * queryStride(headSize) + 2 * headSize) * 2) +
         decodeCodeBytes(headSize, scaled) +
         static_cast<std::size_t>(attentionDecodeWarps(headSize) * rows * (sumStride(headSize) + 2)) * sizeof(float);
}

// Chunks of both factors, then the sums of the warps that share the inner dimension.
constexpr std::size_t linearSharedBytes(int outerRows, int columns) {
  const int rows = columns * linearColumn;
  const int slices = linearWarps / (outerRows / 16);
  return static_cast<std::size_t>(linearStages(outerRows) * (outerRows + rows) * linearChunk(outerRows) * 2) +
         static_cast<std::size_t>(slices * rows * (outerRows + 1)) * sizeof(float);
}

// Vectors of a row of x in shared memory: whole units.
constexpr int gemvPaddedVectors(int unit, int inner) {
  return roundUp(divideUp(inner, elementsPerVector), 32 * unit);
}
// What a kernel for few rows has beside that, at most.
constexpr std::size_t gemvOwnSharedBytes = 1024;
// x, in float32 where it is normalised, for `vectors` rows of the weight at once.
constexpr std::size_t gemvSharedBytes(int rows, int vectors, int inner, bool normed) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(gemvPaddedVectors(gemvUnit / vectors, inner)) *
         elementsPerVector * (normed ? 4 : 2);
}

// A chunk of a tile of a packed weight in shared memory: units, then scales, then offsets, in vectors.
constexpr int quantizedChunkBlocks = quantizedChunk / 32;
constexpr int quantizedChunkUnits(CodeType codes) {
  return quantizedChunk / quantizedUnit(codes);
}
constexpr int quantizedSlotScales(CodeType codes) {
  return quantizedChunkUnits(codes) * quantizedUnitBytes / 16;
}
constexpr int quantizedSlotOffsets(CodeType codes) {
  return quantizedSlotScales(codes) + quantizedChunkBlocks * 2;
}
constexpr int quantizedSlotVectors(CodeType codes, Offsets offsets) {
  const int blockVectors = offsets == Offsets::middle ? 0 : offsets == Offsets::codes ? 1 : 2;
  return quantizedSlotOffsets(codes) + quantizedChunkBlocks * blockVectors;
}
// Of a tile's sums of a row of x, in floats: neighbouring rows are in other banks.
constexpr int quantizedSumStride = quantizedTile + 4;
// Of a row of x in shared memory, in elements: four vectors of each of two rows are in all banks.
constexpr int quantizedXStride(int inner) {
  return roundUp(inner, quantizedChunk) + 32;
}
// Of a block of 32 elements, what rows of x add up to there, each twice: lanes read two rows at once.
constexpr int quantizedTotalsStride(int rows) {
  return rows == 1 ? 1 : 4 * divideUp(rows, 2);
}
// Of few rows: the chunks of all warps, x, its totals, its squares by warp, and sums of one batch of tiles, or two in
// turn.
constexpr std::size_t quantizedFewSharedBytes(const QuantizedFormat& format, int rows, int inner, int tilesOfBlock) {
  const std::size_t chunks =
      static_cast<std::size_t>(quantizedFewWarps * quantizedFewStages(quantizedBits(format.codes))) * 16 *
      static_cast<std::size_t>(quantizedSlotVectors(format.codes, format.offsets));
  const int batch = quantizedFewBatch(rows);
  const int tiles = tilesOfBlock <= batch ? tilesOfBlock : 2 * batch;
  return chunks + static_cast<std::size_t>(rows) * static_cast<std::size_t>(quantizedXStride(inner)) * 2 +
         static_cast<std::size_t>(divideUp(inner, quantizedChunk) * quantizedChunkBlocks * quantizedTotalsStride(rows) +
                                  rows * quantizedFewWarps + tiles * quantizedFewWarps * rows * quantizedSumStride) *
             sizeof(float);
}
// Of many: a row of a panel's sums, in floats.
constexpr int quantizedManySumStride(int warps) {
  return quantizedPanelTiles(warps) * quantizedTile + 4;
}
// A chunk of a slice's tiles and of x in shared memory, in vectors. The sums of half of the slices have room in place
// of a chunk of each.
constexpr int quantizedManyStageVectors(CodeType codes, Offsets offsets, const QuantizedDivision& division,
                                        int columns) {
  const int rows = columns * linearColumn;
  const int chunk = quantizedPanelTiles(division.warps) * quantizedSlotVectors(codes, offsets) +
                    rows * (quantizedChunk / elementsPerVector);
  // Of every two slices, in what all have of a stage.
  const int sums =
      divideUp(divideUp(division.slices, 2) * rows * quantizedManySumStride(division.warps), 4 * division.slices);
  return chunk > sums ? chunk : sums;
}
// Stages of all slices; two counters for each, and another's answer.
constexpr std::size_t quantizedManySharedBytes(const QuantizedFormat& format, const QuantizedDivision& division,
                                               int columns, int stages) {
  return static_cast<std::size_t>(stages * division.slices *
                                      quantizedManyStageVectors(format.codes, format.offsets, division, columns) +
                                  quantizedManyWarps * quantizedManyStages + 1) *
         16;
}

// Tokens that prefill has in shared memory at once; while those are worked on, the next are on their way.
constexpr int prefillTokens(int headSize) {
  return headSize > 128 ? attentionTokens : 4 * attentionTokens;
}

// The least number of codes that hold a head and are `rest` more than a multiple of `banks`.
constexpr int codeStride(int headSize, int banks, int rest) {
  return headSize + (banks + rest - headSize % banks) % banks;
}
// Elements of a row of keys, and of values. Codes are read eight at a time: four rows, four times eight of each,
// without conflicts, and every other of eight rows likewise.
constexpr int prefillKeyStride(int headSize, bool scaled) {
  return scaled ? codeStride(headSize, 64, 32) : queryStride(headSize);
}
constexpr int prefillValueStride(int headSize, bool scaled) {
  return scaled ? codeStride(headSize, 32, 16) : valueStride(headSize);
}
// Keys and values, and two scales a token.
constexpr std::size_t prefillTileBytes(int headSize, bool scaled) {
  const int strides = prefillKeyStride(headSize, scaled) + prefillValueStride(headSize, scaled);
  return static_cast<std::size_t>(prefillTokens(headSize) * (scaled ? strides + 8 : 2 * strides));
}

// Queries, then twice keys and values.
constexpr std::size_t prefillSharedBytes(int headSize, bool scaled) {
  return static_cast<std::size_t>(attentionWarps * attentionRows * queryStride(headSize) * 2) +
         2 * prefillTileBytes(headSize, scaled);
}

// Sorted tokens and the sums of their weights, then bins.
constexpr std::size_t sampleSharedBytes = sampleSorted * 2 * sizeof(std::uint64_t) + sampleBins * sizeof(std::int32_t);

}  // namespace tensorrt_node::kernels
