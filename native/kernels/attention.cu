// Attention over keys and values in pages. Heads that share keys share their reads: a warp's rows are the heads of a
// group, times as many queries as fit.
//
// Decode (runs of one row): a block reads a split of one row's tokens, its warps taking turns, and the last block of a
// row to arrive joins the splits. The split that ends with the row's own token also writes its key and value. Prefill:
// attention_append writes, then each warp of attention_prefill takes queries of its own.
#include "device/arrivals.cuh"
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
  // Of those of its head of keys.
  bool isFirst;

  __device__ HeadBlock(const AttentionParameters& p, int index) {
    const int group = p.heads / p.kvHeads;
    const int blocks = attentionHeadBlocks(p.heads, p.kvHeads);
    kvHead = index / blocks;
    const int first = index % blocks * attentionRows;
    firstHead = kvHead * group + first;
    heads = min(group - first, attentionRows);
    isFirst = first == 0;
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

// What a block of a decode step has in shared memory: the rotated queries, the row's own key and value, and what each
// warp leaves for the block: sums[warp][row][element], and the state of each row.
template <typename T, int headSize>
struct DecodeMemory {
  T* queries;
  T* key;
  T* value;
  float* sums;
  SplitState* states;
  int rows;

  __device__ explicit DecodeMemory(int usedRows) : rows(usedRows) {
    queries = static_cast<T*>(launchedShared());
    key = queries + attentionRows * queryStride(headSize);
    value = key + headSize;
    sums = reinterpret_cast<float*>(value + headSize);
    states = reinterpret_cast<SplitState*>(sums + attentionDecodeWarps(headSize) * rows * sumStride(headSize));
  }
  __device__ float* sum(int warp, int row, int element) const {
    return sums + (warp * rows + row) * sumStride(headSize) + element;
  }
  __device__ SplitState& state(int warp, int row) const { return states[warp * rows + row]; }
};

// The row's own queries, key and value. Each thread has one pair, of every few heads.
template <typename T, int headSize>
struct OwnRow {
  static constexpr int threads = attentionDecodeWarps(headSize) * 32;
  static constexpr int threadsPerHead = headSize / 2 <= 32 ? 32 : headSize / 2 <= 64 ? 64 : 128;
  static constexpr int headsAtOnce = threads / threadsPerHead;
  // The queries of a block, then the key, then the value.
  static constexpr int turns = divideUp(attentionRows + 2, headsAtOnce);

  const int pair = threadIdx.x % threadsPerHead;
  const int firstHead = threadIdx.x / threadsPerHead;
  const bool has = pair < headSize / 2;
  const Rotation rotation;

  __device__ OwnRow(const AttentionParameters& p, int position) : rotation(p, position, has ? pair : 0) {}

  // Into shared memory, and the key and the value also into their page where `writes`. All reads come before the first
  // write, so that none waits for another.
  __device__ void put(const AttentionParameters& p, const HeadBlock& block, int row,
                      const DecodeMemory<T, headSize>& to, const Pages<T>& pages, std::size_t own, bool writes) const {
    if (!has) return;
    T pairs[turns][2];
#pragma unroll
    for (int turn = 0; turn < turns; ++turn) {
      const int i = firstHead + turn * headsAtOnce;
      if (i >= block.heads + 2) continue;
      const T* head = headOf<T>(p, row,
                                i < block.heads    ? block.firstHead + i
                                : i == block.heads ? p.heads + block.kvHead
                                                   : p.heads + p.kvHeads + block.kvHead);
      const bool isValue = i == block.heads + 1;
      pairs[turn][0] = head[isValue ? 2 * pair : rotation.first];
      pairs[turn][1] = head[isValue ? 2 * pair + 1 : rotation.second];
    }
#pragma unroll
    for (int turn = 0; turn < turns; ++turn) {
      const int i = firstHead + turn * headsAtOnce;
      if (i >= block.heads + 2) continue;
      if (i < block.heads) {
        putPair(to.queries + i * queryStride(headSize), rotation(pairs[turn][0], pairs[turn][1]));
      } else if (i == block.heads) {
        const Pair<T> key = rotation(pairs[turn][0], pairs[turn][1]);
        putPair(to.key, key);
        if (writes) putPair(pages.keys + own, key);
      } else {
        const Pair<T> value{2 * pair, 2 * pair + 1, pairs[turn][0], pairs[turn][1]};
        putPair(to.value, value);
        if (writes) putPair(pages.values + own, value);
      }
    }
  }
};

// A warp's tiles of a split, one on its way to registers while the one before it is worked on.
template <typename T, int headSize>
struct DecodeTiles {
  using Work = AttentionWarp<T, headSize>;
  const AttentionParameters& p;
  const Pages<T>& pages;
  const int kvHead;
  const int position;
  const int end;
  int tile;
  // That the next tile is in.
  int page = 0;
  typename Work::Keys keys;
  typename Work::Values values;

  __device__ DecodeTiles(const AttentionParameters& parameters, const Pages<T>& from, int head, int ownPosition,
                         int begin, int endTile)
      : p(parameters), pages(from), kvHead(head), position(ownPosition), end(endTile), tile(begin) {
    readPage(tile);
  }

  __device__ void readPage(int of) {
    if (of < end) page = loadPast(pages.table + of * attentionTokens / p.pageSize);
  }
  __device__ std::size_t at(int of) const { return Pages<T>::inPage(p, page, of * attentionTokens, kvHead); }

  // Of the tokens before the row's own, which is nowhere yet.
  __device__ void readKeys(const Work& work, int of) {
    const T* from = pages.keys + at(of);
    const int first = of * attentionTokens;
    work.readKeys(keys, [&](uint4& to, int token, int element) {
      to = loadPast(from + token * headSize + element, first + token < position);
    });
  }
  __device__ void readValues(const Work& work, int of) {
    const T* from = pages.values + at(of);
    const int first = of * attentionTokens;
    work.readValues(values, [&](uint4& to, int token, int element) {
      to = loadPast(from + token * headSize + element, first + token < position);
    });
  }
  // The row's own, if it is in the tile.
  __device__ void putOwn(const Work& work, const DecodeMemory<T, headSize>& memory) {
    const int own = position - tile * attentionTokens;
    if (own >= attentionTokens) return;
    work.readKeys(keys, [&](uint4& to, int token, int element) {
      if (token == own) to = *reinterpret_cast<const uint4*>(memory.key + element);
    });
    work.readValues(values, [&](uint4& to, int token, int element) {
      if (token == own) to = *reinterpret_cast<const uint4*>(memory.value + element);
    });
  }
};

// Consecutive elements of a head, of a thread.
template <int count>
struct Joined {
  float most = -INFINITY;
  float total = 0;
  float sums[count] = {};

  // Some more, relative to numbers of their own.
  template <int parts>
  __device__ void add(const SplitState (&states)[parts], const float (&of)[parts][count]) {
    float largest = most;
#pragma unroll
    for (const SplitState& each : states) largest = fmaxf(largest, each.most);
    const float shrink = exp2f(most - largest);
    most = largest;
    total *= shrink;
#pragma unroll
    for (float& sum : sums) sum *= shrink;
#pragma unroll
    for (int part = 0; part < parts; ++part) {
      const float factor = exp2f(states[part].most - most);
      total += states[part].total * factor;
#pragma unroll
      for (int i = 0; i < count; ++i) sums[i] += of[part][i] * factor;
    }
  }

  template <typename T>
  __device__ void store(T* to) const {
#pragma unroll
    for (int i = 0; i < count; i += 2)
      *reinterpret_cast<std::uint32_t*>(to + i) = pack<T>(sums[i] / total, sums[i + 1] / total);
  }
};

// A row's splits in the workspace.
struct SplitResults {
  float* sums;
  SplitState* states;

  __device__ SplitResults(const AttentionParameters& p, std::size_t rowHead) {
    sums = static_cast<float*>(p.workspace);
    states = reinterpret_cast<SplitState*>(sums + static_cast<std::size_t>(p.rows) * p.heads * p.splits * p.headSize) +
             rowHead * p.splits;
    sums += rowHead * p.splits * p.headSize;
  }
};

// What the warps have, of which `active` had tiles: the result, or that of a split.
template <typename T, int headSize>
__device__ void joinWarps(const AttentionParameters& p, const HeadBlock& block, int row, int active,
                          const DecodeMemory<T, headSize>& memory, bool isResult) {
  constexpr int warps = attentionDecodeWarps(headSize);
  constexpr int each = 4;
  for (int i = threadIdx.x; i < block.heads * headSize / each; i += warps * 32) {
    const int head = i / (headSize / each);
    const int element = i % (headSize / each) * each;
    SplitState states[warps];
    float sums[warps][each];
#pragma unroll
    for (int warp = 0; warp < warps; ++warp) {
      const bool has = warp < active;
      states[warp] = has ? memory.state(warp, head) : SplitState{-INFINITY, 0};
      const float4 of =
          has ? *reinterpret_cast<const float4*>(memory.sum(warp, head, element)) : make_float4(0, 0, 0, 0);
      sums[warp][0] = of.x;
      sums[warp][1] = of.y;
      sums[warp][2] = of.z;
      sums[warp][3] = of.w;
    }
    Joined<each> joined;
    joined.add(states, sums);
    const std::size_t rowHead = static_cast<std::size_t>(row) * p.heads + block.firstHead + head;
    if (isResult) {
      joined.store(static_cast<T*>(p.out) + rowHead * headSize + element);
      continue;
    }
    const SplitResults to(p, rowHead);
    *reinterpret_cast<float4*>(to.sums + blockIdx.x * headSize + element) =
        make_float4(joined.sums[0], joined.sums[1], joined.sums[2], joined.sums[3]);
    if (element == 0) to.states[blockIdx.x] = {joined.most, joined.total};
  }
}

// In the order of the splits, whichever came last.
template <typename T, int headSize>
__device__ void joinSplits(const AttentionParameters& p, const HeadBlock& block, int row, int splits) {
  constexpr int each = 2;
  constexpr int atOnce = 16;
  for (int i = threadIdx.x; i < block.heads * headSize / each; i += attentionDecodeWarps(headSize) * 32) {
    const int head = i / (headSize / each);
    const int element = i % (headSize / each) * each;
    const std::size_t rowHead = static_cast<std::size_t>(row) * p.heads + block.firstHead + head;
    const SplitResults from(p, rowHead);
    Joined<each> joined;
    for (int first = 0; first < splits; first += atOnce) {
      SplitState states[atOnce];
      float sums[atOnce][each];
#pragma unroll
      for (int part = 0; part < atOnce; ++part) {
        const int split = min(first + part, splits - 1);
        const float2 state = __ldcg(reinterpret_cast<const float2*>(from.states + split));
        const float2 of = __ldcg(reinterpret_cast<const float2*>(from.sums + split * headSize + element));
        states[part] = first + part < splits ? SplitState{state.x, state.y} : SplitState{-INFINITY, 0};
        sums[part][0] = of.x;
        sums[part][1] = of.y;
      }
      joined.add(states, sums);
    }
    joined.store(static_cast<T*>(p.out) + rowHead * headSize + element);
  }
}

template <typename T, int headSize>
__device__ void decodeSplit(const AttentionParameters& p, const HeadBlock& block, int row, int slot, int position,
                            const AttentionSplits& splits) {
  constexpr int warps = attentionDecodeWarps(headSize);
  const DecodeMemory<T, headSize> memory(block.heads);
  const int split = blockIdx.x;
  const int warp = threadIdx.x / 32;
  const int begin = splits.firstTile + split * splits.tilesPerSplit;
  const int end = min(begin + splits.tilesPerSplit, splits.firstTile + splits.tiles);
  const Pages<T> pages(p, slot);

  // All that follows here is older than the step, or a constant (see decode()).
  AttentionWarp<T, headSize> work;
  DecodeTiles<T, headSize> tiles(p, pages, block.kvHead, position, begin + warp, end);
  if (tiles.tile < end) {
    tiles.readKeys(work, tiles.tile);
    tiles.readValues(work, tiles.tile);
    tiles.readPage(tiles.tile + warps);
  }
  const OwnRow<T, headSize> own(p, position);
  // Only the blocks of the last split need it.
  const bool hasOwn = split == splits.used - 1;
  const int ownPage = hasOwn ? loadPast(pages.table + position / p.pageSize) : 0;
  const std::size_t ownAt = Pages<T>::inPage(p, ownPage, position, block.kvHead);
  constexpr int vectors = queryStride(headSize) / elementsPerVector;
  for (int i = threadIdx.x + block.heads * vectors; i < attentionRows * vectors; i += warps * 32)
    reinterpret_cast<uint4*>(memory.queries)[i] = make_uint4(0, 0, 0, 0);
  waitForPredecessor();

  own.put(p, block, row, memory, pages, ownAt, hasOwn && block.isFirst);
  __syncthreads();
  const int from = p.window > 0 ? max(0, position - p.window + 1) : 0;
  for (; tiles.tile < end; tiles.tile += warps) {
    const int next = tiles.tile + warps;
    tiles.putOwn(work, memory);
    float scores[2][4];
    work.score(p, memory.queries, tiles.keys, tiles.tile * attentionTokens, {from, from}, {position, position}, scores);
    if (next < end) tiles.readKeys(work, next);
    work.weigh(scores, tiles.values);
    if (next < end) tiles.readValues(work, next);
    tiles.readPage(next + warps);
  }
  work.finish();
  const int active = min(warps, end - begin);
  if (warp < active) {
    work.forEachVector([&](int head, int element, const float(&vector)[8]) {
      if (head >= block.heads) return;
      auto* to = reinterpret_cast<float4*>(memory.sum(warp, head, element));
      to[0] = make_float4(vector[0], vector[1], vector[2], vector[3]);
      to[1] = make_float4(vector[4], vector[5], vector[6], vector[7]);
    });
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (work.inGroup == 0 && work.group + 8 * half < block.heads)
        memory.state(warp, work.group + 8 * half) = {work.most[half], work.total[half]};
  }
  __syncthreads();
  joinWarps(p, block, row, active, memory, splits.used == 1);
  if (splits.used > 1 && arrivesLast(p.arrivals + row * gridDim.y + blockIdx.y, splits.used))
    joinSplits<T, headSize>(p, block, row, splits.used);
}

// While the predecessor ends, a block has its first keys and values on their way, and all that tells it where they are.
// That is safe because none of it is written by the kernels of this step that may still be under way: slots and
// positions come from begin_step or from copies, addresses and page tables from copies, older keys and values from
// earlier steps; and begin_step lets nobody begin before all that came before it, and its own results, are in memory.
// The row's own queries, key and value are the predecessor's.
template <typename T, int headSize>
__device__ void decode(const AttentionParameters& p) {
  letSuccessorBegin();
  const HeadBlock block(p, blockIdx.y);
  const int row = blockIdx.z;
  const int slot = loadPast(p.runSlots + row);
  const int position = loadPast(p.positions + row);
  const AttentionSplits splits = attentionSplitsOf(position, p.window, p.splits);
  if (slot >= 0 && static_cast<int>(blockIdx.x) < splits.used) {
    decodeSplit<T, headSize>(p, block, row, slot, position, splits);
    return;
  }
  // Those after this kernel take it that all before it is done when this one is.
  waitForPredecessor();
  if (slot < 0 && blockIdx.x == 0)
    for (int head = 0; head < block.heads; ++head) zeroOut<T>(p, row, block.firstHead + head);
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
  extern "C" __global__ void __launch_bounds__(attentionDecodeWarps(size) * 32)          \
      attention_decode_##name##_##size(const __grid_constant__ AttentionParameters p) {  \
    decode<Type, size>(p);                                                               \
  }                                                                                      \
  extern "C" __global__ void __launch_bounds__(attentionWarps * 32)                      \
      attention_prefill_##name##_##size(const __grid_constant__ AttentionParameters p) { \
    prefill<Type, size>(p);                                                              \
  }

#define TENSORRT_NODE_KERNELS(name, Type)                                      \
  extern "C" __global__ void __launch_bounds__(attentionAppendThreads)         \
      attention_append_##name(const __grid_constant__ AttentionParameters p) { \
    appendRow<Type>(p);                                                        \
  }                                                                            \
  TENSORRT_NODE_SIZED_KERNELS(name, Type, 64)                                  \
  TENSORRT_NODE_SIZED_KERNELS(name, Type, 80)                                  \
  TENSORRT_NODE_SIZED_KERNELS(name, Type, 96)                                  \
  TENSORRT_NODE_SIZED_KERNELS(name, Type, 128)                                 \
  TENSORRT_NODE_SIZED_KERNELS(name, Type, 256)

TENSORRT_NODE_KERNELS(float16, __half)
TENSORRT_NODE_KERNELS(bfloat16, __nv_bfloat16)
