// Attention over keys and values in pages. Heads that share keys share their reads: a warp's rows are the heads of a
// group, times as many queries as fit.
//
// Decode (runs of one row): a block reads a split of one row's tokens, its warps taking turns, and the split that ends
// with the row's own token writes its key and value first; attention_combine joins the splits. Prefill:
// attention_append writes, then each warp of attention_prefill takes queries of its own.
#include "device/attention_warp.cuh"
#include "device/pages.cuh"
#include "device/rotary.cuh"
#include "geometry.h"
#include "parameters.h"
#include "workspace.h"

namespace tensorrt_node::kernels {

// Heads that a block works on, of one head of keys.
struct HeadBlock {
  int kvHead;
  int firstHead;
  int heads;

  __device__ HeadBlock(const AttentionParameters& p, int index) {
    const int group = p.heads / p.kvHeads;
    const int blocks = attentionHeadBlocks(p.heads, p.kvHeads);
    kvHead = index / blocks;
    const int first = index % blocks * attentionRows;
    firstHead = kvHead * group + first;
    heads = min(group - first, attentionRows);
  }
};

// Rotates a query of a head into shared memory.
template <typename T>
__device__ void putPair(T* to, const Pair<T>& pair) {
  to[pair.first] = pair.a;
  to[pair.second] = pair.b;
}

template <typename T>
__device__ void zeroOut(const AttentionParameters& p, int row, int head) {
  T* out = static_cast<T*>(p.out) + (static_cast<std::size_t>(row) * p.heads + head) * p.headSize;
  for (int i = threadIdx.x; i < p.headSize; i += blockDim.x) out[i] = fromFloat<T>(0);
}

// What a warp leaves for the block: sums[warp][row][element], and the state of each row.
template <int headSize>
struct WarpResults {
  float* sums;
  SplitState* states;
  int rows;

  __device__ float& sum(int warp, int row, int element) const { return sums[(warp * rows + row) * headSize + element]; }
  __device__ SplitState& state(int warp, int row) const { return states[warp * rows + row]; }
};

template <typename T, int headSize>
__device__ void decodeSplit(const AttentionParameters& p, const HeadBlock& block, int row, int slot, int position,
                            const AttentionSplits& splits) {
  constexpr int stride = queryStride(headSize);
  T* queries = static_cast<T*>(launchedShared());
  WarpResults<headSize> results;
  results.sums = reinterpret_cast<float*>(queries + attentionRows * stride);
  results.rows = block.heads;
  results.states = reinterpret_cast<SplitState*>(results.sums + attentionWarps * block.heads * headSize);
  const Pages<T> pages(p, slot);
  const int split = blockIdx.x;

  for (int i = threadIdx.x; i < attentionRows * headSize / 2; i += attentionWarps * 32) {
    const int head = i / (headSize / 2);
    const int pair = i % (headSize / 2);
    if (head < block.heads)
      putPair(queries + head * stride, rotatedPair(p, headOf<T>(p, row, block.firstHead + head), position, pair));
    else
      putPair(queries + head * stride, Pair<T>{2 * pair, 2 * pair + 1, fromFloat<T>(0), fromFloat<T>(0)});
  }
  if (split == splits.used - 1) append(p, pages, row, position, block.kvHead, threadIdx.x, attentionWarps * 32);
  __syncthreads();

  const int warp = threadIdx.x / 32;
  const int begin = splits.firstTile + split * splits.tilesPerSplit;
  const int end = min(begin + splits.tilesPerSplit, splits.firstTile + splits.tiles);
  const int from = p.window > 0 ? max(0, position - p.window + 1) : 0;
  AttentionWarp<T, headSize> work;
  for (int tile = begin + warp; tile < end; tile += attentionWarps) {
    const int first = tile * attentionTokens;
    const std::size_t at = pages.at(p, first, block.kvHead);
    work.template add<headSize, headSize>(p, queries, pages.keys + at, pages.values + at, first, position, {from, from},
                                          {position, position});
  }
  work.finish();
  work.forEachVector([&](int head, int element, const float(&vector)[8]) {
    if (head >= block.heads) return;
#pragma unroll
    for (int j = 0; j < 8; ++j) results.sum(warp, head, element + j) = vector[j];
  });
#pragma unroll
  for (int half = 0; half < 2; ++half)
    if (work.inGroup == 0 && work.group + 8 * half < block.heads)
      results.state(warp, work.group + 8 * half) = {work.most[half], work.total[half]};
  __syncthreads();

  for (int i = threadIdx.x; i < block.heads * headSize; i += attentionWarps * 32) {
    const int head = i / headSize;
    const int element = i % headSize;
    float most = -INFINITY;
#pragma unroll
    for (int w = 0; w < attentionWarps; ++w) most = fmaxf(most, results.state(w, head).most);
    float sum = 0;
    float total = 0;
#pragma unroll
    for (int w = 0; w < attentionWarps; ++w) {
      const float factor = exp2f(results.state(w, head).most - most);
      sum += results.sum(w, head, element) * factor;
      total += results.state(w, head).total * factor;
    }
    const std::size_t to = static_cast<std::size_t>(row) * p.heads + block.firstHead + head;
    if (splits.used == 1) {
      static_cast<T*>(p.out)[to * headSize + element] = fromFloat<T>(sum / total);
    } else {
      float* sums = static_cast<float*>(p.workspace);
      auto* states =
          reinterpret_cast<SplitState*>(sums + static_cast<std::size_t>(p.rows) * p.heads * p.splits * headSize);
      sums[(to * p.splits + split) * headSize + element] = sum;
      if (element == 0) states[to * p.splits + split] = {most, total};
    }
  }
}

template <typename T, int headSize>
__device__ void decode(const AttentionParameters& p) {
  letSuccessorBegin();
  waitForPredecessor();
  const HeadBlock block(p, blockIdx.y);
  const int row = blockIdx.z;
  const int slot = p.runSlots[row];
  if (slot < 0) {
    if (blockIdx.x == 0)
      for (int head = 0; head < block.heads; ++head) zeroOut<T>(p, row, block.firstHead + head);
    return;
  }
  const int position = p.positions[row];
  const AttentionSplits splits = attentionSplitsOf(position, p.window, p.splits);
  if (static_cast<int>(blockIdx.x) < splits.used) decodeSplit<T, headSize>(p, block, row, slot, position, splits);
}

template <typename T>
__device__ void combine(const AttentionParameters& p) {
  letSuccessorBegin();
  waitForPredecessor();
  const int head = blockIdx.x;
  const int row = blockIdx.y;
  if (p.runSlots[row] < 0) return;
  const AttentionSplits splits = attentionSplitsOf(p.positions[row], p.window, p.splits);
  if (splits.used == 1) return;
  const std::size_t at = static_cast<std::size_t>(row) * p.heads + head;
  const float* sums = static_cast<const float*>(p.workspace);
  const auto* states =
      reinterpret_cast<const SplitState*>(sums + static_cast<std::size_t>(p.rows) * p.heads * p.splits * p.headSize) +
      at * p.splits;
  sums += at * p.splits * p.headSize;
  float most = -INFINITY;
  for (int split = 0; split < splits.used; ++split) most = fmaxf(most, states[split].most);
  for (int element = threadIdx.x; element < p.headSize; element += attentionCombineThreads) {
    float sum = 0;
    float total = 0;
    for (int split = 0; split < splits.used; ++split) {
      const float factor = exp2f(states[split].most - most);
      sum += sums[split * p.headSize + element] * factor;
      total += states[split].total * factor;
    }
    static_cast<T*>(p.out)[at * p.headSize + element] = fromFloat<T>(sum / total);
  }
}

// The run of a row; runs are few.
__device__ inline int runOf(const AttentionParameters& p, int row) {
  int run = 0;
  while (run + 1 < p.runs && p.runStarts[run + 1] <= row) ++run;
  return run;
}

template <typename T>
__device__ void appendRow(const AttentionParameters& p) {
  letSuccessorBegin();
  waitForPredecessor();
  const int row = blockIdx.x;
  const int slot = p.runSlots[runOf(p, row)];
  if (slot < 0) return;
  const Pages<T> pages(p, slot);
  const int pairs = p.headSize / 2;
  // All threads on one head would leave most of them idle: some for each of several heads.
  const int headsAtOnce = max(1, attentionAppendThreads / pairs);
  const int mine = threadIdx.x / pairs;
  if (mine >= headsAtOnce) return;
  for (int head = mine; head < p.kvHeads; head += headsAtOnce)
    append(p, pages, row, p.positions[row], head, threadIdx.x % pairs, pairs);
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

// Keys and values of some tokens, in shared memory.
template <typename T, int headSize>
struct TokenTile {
  static constexpr int tokens = prefillTokens(headSize);
  static constexpr int keyStride = queryStride(headSize);
  static constexpr int elements = tokens * (keyStride + valueStride(headSize));

  T* keys;
  T* values;

  __device__ explicit TokenTile(T* memory) : keys(memory), values(memory + tokens * keyStride) {}

  // By the whole block; tokens after `last` become zeros.
  __device__ void copy(const AttentionParameters& p, const Pages<T>& pages, int kvHead, int first, int last) {
    constexpr int vectors = headSize / elementsPerVector;
    for (int i = threadIdx.x; i < tokens * vectors; i += attentionWarps * 32) {
      const int token = i / vectors;
      const int element = i % vectors * elementsPerVector;
      const bool exists = first + token <= last;
      const std::size_t from = pages.at(p, exists ? first + token : last, kvHead) + element;
      copyToShared(keys + token * keyStride + element, pages.keys + from, exists);
      copyToShared(values + token * valueStride(headSize) + element, pages.values + from, exists);
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

template <typename T, int headSize>
__device__ void prefillRows(const AttentionParameters& p, const HeadBlock& block, const QueryBlock& rows, int slot,
                            int perWarp) {
  using Tile = TokenTile<T, headSize>;
  T* queries = static_cast<T*>(launchedShared());
  T* tiles = queries + attentionWarps * attentionRows * queryStride(headSize);
  const Pages<T> pages(p, slot);
  const int position = p.positions[rows.first];
  const int last = position + rows.end - rows.first - 1;
  const int begin = p.window > 0 ? max(0, position - p.window + 1) / Tile::tokens : 0;
  const int end = last / Tile::tokens + 1;
  Tile(tiles).copy(p, pages, block.kvHead, begin * Tile::tokens, last);
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
  AttentionWarp<T, headSize> work;
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
      Tile(tiles + (each + 1 - begin) % 2 * Tile::elements)
          .copy(p, pages, block.kvHead, (each + 1) * Tile::tokens, last);
    endCopies();
    waitForCopies<1>();
    __syncthreads();
    const Tile tile(tiles + (each - begin) % 2 * Tile::elements);
    for (int token = 0; token < Tile::tokens; token += attentionTokens) {
      const int first = each * Tile::tokens + token;
      if (used == 0 || first > lastOfWarp || first + attentionTokens <= firstOfWarp) continue;
      work.template add<Tile::keyStride, valueStride(headSize)>(
          p, queries + warp * attentionRows * queryStride(headSize), tile.keys + token * Tile::keyStride,
          tile.values + token * valueStride(headSize), first, last, seenFrom, seenTo);
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

template <typename T, int headSize>
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
    prefillRows<T, headSize>(p, block, rows, slot, perWarp);
    return;
  }
  for (int row = rows.first; row < rows.end; ++row)
    for (int head = 0; head < block.heads; ++head) zeroOut<T>(p, row, block.firstHead + head);
}

}  // namespace tensorrt_node::kernels

using namespace tensorrt_node::kernels;

#define TENSORRT_NODE_SIZED_KERNELS(name, Type, size)                                    \
  extern "C" __global__ void __launch_bounds__(attentionWarps * 32)                      \
      attention_decode_##name##_##size(const __grid_constant__ AttentionParameters p) {  \
    decode<Type, size>(p);                                                               \
  }                                                                                      \
  extern "C" __global__ void __launch_bounds__(attentionWarps * 32)                      \
      attention_prefill_##name##_##size(const __grid_constant__ AttentionParameters p) { \
    prefill<Type, size>(p);                                                              \
  }

#define TENSORRT_NODE_KERNELS(name, Type)                                       \
  extern "C" __global__ void __launch_bounds__(attentionAppendThreads)          \
      attention_append_##name(const __grid_constant__ AttentionParameters p) {  \
    appendRow<Type>(p);                                                         \
  }                                                                             \
  extern "C" __global__ void __launch_bounds__(attentionCombineThreads)         \
      attention_combine_##name(const __grid_constant__ AttentionParameters p) { \
    combine<Type>(p);                                                           \
  }                                                                             \
  TENSORRT_NODE_SIZED_KERNELS(name, Type, 64)                                   \
  TENSORRT_NODE_SIZED_KERNELS(name, Type, 80)                                   \
  TENSORRT_NODE_SIZED_KERNELS(name, Type, 96)                                   \
  TENSORRT_NODE_SIZED_KERNELS(name, Type, 128)                                  \
  TENSORRT_NODE_SIZED_KERNELS(name, Type, 256)

TENSORRT_NODE_KERNELS(float16, __half)
TENSORRT_NODE_KERNELS(bfloat16, __nv_bfloat16)
