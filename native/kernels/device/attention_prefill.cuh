// Attention of prompts: keys and values of all rows are written to their pages first, then each warp takes queries of
// its own.
#pragma once

#include "attention_heads.cuh"
#include "attention_warp.cuh"
#include "pages.cuh"

namespace tensorrt_node::kernels {

// The run of a row; runs are few.
__device__ inline int runOf(const AttentionParameters& p, int row) {
  int run = 0;
  while (run + 1 < p.runs && p.runStarts[run + 1] <= row) ++run;
  return run;
}

template <typename Codes>
__device__ void appendRow(const AttentionParameters& p) {
  letSuccessorBegin();
  waitForPredecessor();
  const int row = blockIdx.x;
  const int slot = p.runSlots[runOf(p, row)];
  if (slot < 0) return;
  const Pages<Codes> pages(p, slot);
  if constexpr (Codes::scaled) {
    for (int each = threadIdx.x / 32; each < 2 * p.kvHeads; each += attentionAppendThreads / 32)
      appendCodes(p, pages, row, p.positions[row], each / 2, each % 2 != 0);
  } else {
    const int pairs = p.headSize / 2;
    // All threads on one head would leave most of them idle: some for each of several heads.
    const int headsAtOnce = max(1, attentionAppendThreads / pairs);
    const int mine = threadIdx.x / pairs;
    if (mine >= headsAtOnce) return;
    for (int head = mine; head < p.kvHeads; head += headsAtOnce)
      append(p, pages, row, p.positions[row], head, threadIdx.x % pairs, pairs);
  }
}

// The rows of a block: part of a run.
struct QueryBlock {
  int run = -1;
  int first = 0;
  int end = 0;

  // Blocks are counted through the runs, the last of a run partly filled.
  __device__ QueryBlock(const AttentionParameters& p, int index, int rows) {
    for (int each = 0; each < p.runs; ++each) {
      const int begin = p.runStarts[each];
      const int length = p.runStarts[each + 1] - begin;
      const int blocks = divideUp(length, rows);
      if (index < blocks) {
        run = each;
        first = begin + index * rows;
        end = min(first + rows, begin + length);
        return;
      }
      index -= blocks;
    }
  }
};

// Keys and values of some tokens, in shared memory, and their scales.
template <typename Codes, int headSize>
struct TokenTile {
  using Element = typename Codes::Element;
  static constexpr int tokens = prefillTokens(headSize);
  static constexpr int keyStride = prefillKeyStride(headSize, Codes::scaled);
  static constexpr int valueStride = prefillValueStride(headSize, Codes::scaled);
  static constexpr int bytes = static_cast<int>(prefillTileBytes(headSize, Codes::scaled));

  Element* keys;
  Element* values;
  // Of nothing where there are none.
  float* keyScales;
  float* valueScales;

  __device__ TokenTile(void* memory, int index) {
    keys = reinterpret_cast<Element*>(static_cast<std::uint8_t*>(memory) + index * bytes);
    values = keys + tokens * keyStride;
    keyScales = reinterpret_cast<float*>(values + tokens * valueStride);
    valueScales = keyScales + tokens;
  }

  // By the whole block; tokens after `last` become zeros, but for some scales.
  __device__ void copy(const AttentionParameters& p, const Pages<Codes>& pages, int kvHead, int first, int last) const {
    constexpr int inVector = 16 / sizeof(Element);
    constexpr int vectors = headSize / inVector;
    for (int i = threadIdx.x; i < tokens * vectors; i += attentionWarps * 32) {
      const int token = i / vectors;
      const int element = i % vectors * inVector;
      const bool exists = first + token <= last;
      const std::size_t from = pages.at(p, exists ? first + token : last, kvHead) + element;
      copyToShared(keys + token * keyStride + element, pages.keys + from, exists);
      copyToShared(values + token * valueStride + element, pages.values + from, exists);
    }
    if constexpr (Codes::scaled) {
      // Four tokens are in one page.
      constexpr int together = 4;
      for (int i = threadIdx.x; i < 2 * tokens / together; i += attentionWarps * 32) {
        const bool isValue = i >= tokens / together;
        const int token = (isValue ? i - tokens / together : i) * together;
        const bool exists = first + token <= last;
        const int at = exists ? first + token : last / together * together;
        const std::size_t from = Pages<Codes>::scaleInPage(p, pages.table[at / p.pageSize], at, kvHead);
        copyToShared((isValue ? valueScales : keyScales) + token, (isValue ? pages.values : pages.keys) + from, exists);
      }
    }
  }
};

// Row m of warp w of a block: query m / heads of the warp's, head m % heads.
template <typename T, int headSize>
__device__ void putQueries(const AttentionParameters& p, const HeadBlock& block, const QueryBlock& rows, int perWarp,
                           T* queries) {
  constexpr int pairs = headSize / 2;
  for (int i = threadIdx.x; i < attentionWarps * attentionRows * pairs; i += attentionWarps * 32) {
    const int at = i / pairs;
    const int pair = i % pairs;
    const int m = at % attentionRows;
    const int row = rows.first + at / attentionRows * perWarp + m / block.heads;
    T* to = queries + at * queryStride(headSize);
    if (m < perWarp * block.heads && row < rows.end)
      putPair(to, rotatedPair(p, headOf<T>(p, row, block.firstHead + m % block.heads), p.positions[row], pair));
    else
      putPair(to, Pair<T>{2 * pair, 2 * pair + 1, fromFloat<T>(0), fromFloat<T>(0)});
  }
}

template <typename Codes, int headSize>
__device__ void prefillRows(const AttentionParameters& p, const HeadBlock& block, const QueryBlock& rows, int slot,
                            int perWarp) {
  using T = typename Codes::Operand;
  using Tile = TokenTile<Codes, headSize>;
  T* queries = static_cast<T*>(launchedShared());
  T* tiles = queries + attentionWarps * attentionRows * queryStride(headSize);
  const Pages<Codes> pages(p, slot);
  const int position = p.positions[rows.first];
  const int last = position + rows.end - rows.first - 1;
  const int begin = p.window > 0 ? max(0, position - p.window + 1) / Tile::tokens : 0;
  const int end = last / Tile::tokens + 1;
  Tile(tiles, 0).copy(p, pages, block.kvHead, begin * Tile::tokens, last);
  endCopies();
  putQueries<T, headSize>(p, block, rows, perWarp, queries);

  // A warp may have no rows, and still copies for the others.
  const int warp = threadIdx.x / 32;
  const int firstRow = min(rows.first + warp * perWarp, rows.end);
  const int endRow = min(firstRow + perWarp, rows.end);
  const int used = (endRow - firstRow) * block.heads;
  const int start = position + firstRow - rows.first;
  const int lastOfWarp = start + endRow - firstRow - 1;
  const int firstOfWarp = p.window > 0 ? max(0, start - p.window + 1) : 0;
  AttentionWarp<Codes, headSize> work;
  int seenFrom[2];
  int seenTo[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int m = work.group + 8 * half;
    seenTo[half] = m < used ? start + m / block.heads : -1;
    seenFrom[half] = p.window > 0 ? max(0, seenTo[half] - p.window + 1) : 0;
  }

  for (int each = begin; each < end; ++each) {
    if (each + 1 < end)
      Tile(tiles, (each + 1 - begin) % 2).copy(p, pages, block.kvHead, (each + 1) * Tile::tokens, last);
    endCopies();
    waitForCopies<1>();
    __syncthreads();
    const Tile tile(tiles, (each - begin) % 2);
    for (int token = 0; token < Tile::tokens; token += attentionTokens) {
      const int first = each * Tile::tokens + token;
      if (used == 0 || first > lastOfWarp || first + attentionTokens <= firstOfWarp) continue;
      work.template add<Tile::keyStride, Tile::valueStride>(
          p, queries + warp * attentionRows * queryStride(headSize), tile.keys + token * Tile::keyStride,
          tile.values + token * Tile::valueStride, tile.keyScales + token, tile.valueScales + token, first, last,
          seenFrom, seenTo);
    }
    __syncthreads();
  }
  work.finish();
  work.forEachVector([&](int m, int element, const float(&vector)[8]) {
    if (m >= used) return;
    const std::size_t to =
        static_cast<std::size_t>(firstRow + m / block.heads) * p.heads + block.firstHead + m % block.heads;
    const float total = work.total[m / 8];
    Vector<T> out;
#pragma unroll
    for (int j = 0; j < 8; ++j) out.elements[j] = fromFloat<T>(vector[j] / total);
    storeVector(static_cast<T*>(p.out) + to * headSize + element, out);
  });
}

template <typename Codes, int headSize>
__device__ void prefill(const AttentionParameters& p) {
  letSuccessorBegin();
  waitForPredecessor();
  const HeadBlock block(p, blockIdx.y);
  const int perWarp = attentionQueries(p.heads, p.kvHeads);
  // The last rows see the most tokens, so they begin first.
  const QueryBlock rows(p, gridDim.x - 1 - blockIdx.x, attentionWarps * perWarp);
  if (rows.run < 0) return;
  const int slot = p.runSlots[rows.run];
  if (slot >= 0) {
    prefillRows<Codes, headSize>(p, block, rows, slot, perWarp);
    return;
  }
  for (int row = rows.first; row < rows.end; ++row)
    for (int head = 0; head < block.heads; ++head) zeroOut<typename Codes::Operand>(p, row, block.firstHead + head);
}

}  // namespace tensorrt_node::kernels
