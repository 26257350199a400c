// Attention of runs of one row: a block reads a split of one row's tokens, its warps taking turns, and the last block
// of a row to arrive joins the splits. The split that ends with the row's own token also writes its key and value.
#pragma once

#include "arrivals.cuh"
#include "attention_heads.cuh"
#include "attention_warp.cuh"
#include "pages.cuh"

namespace tensorrt_node::kernels {

// What a block of a decode step has in shared memory: the rotated queries, the row's own key and value, and what each
// warp leaves for the block: sums[warp][row][element], and the state of each row.
template <typename Codes, int headSize>
struct DecodeMemory {
  using T = typename Codes::Operand;
  T* queries;
  T* key;
  T* value;
  // Of the row's own key and value, where they are kept so.
  std::uint8_t* ownCodes;
  float* ownScales;
  float* sums;
  SplitState* states;
  int rows;

  __device__ explicit DecodeMemory(int usedRows) : rows(usedRows) {
    queries = static_cast<T*>(launchedShared());
    key = queries + attentionRows * queryStride(headSize);
    value = key + headSize;
    ownCodes = reinterpret_cast<std::uint8_t*>(value + headSize);
    ownScales = reinterpret_cast<float*>(ownCodes + 2 * headSize);
    sums = reinterpret_cast<float*>(ownCodes + decodeCodeBytes(headSize, Codes::scaled));
    states = reinterpret_cast<SplitState*>(sums + attentionDecodeWarps(headSize) * rows * sumStride(headSize));
  }
  __device__ float* sum(int warp, int row, int element) const {
    return sums + (warp * rows + row) * sumStride(headSize) + element;
  }
  __device__ SplitState& state(int warp, int row) const { return states[warp * rows + row]; }
};

// The row's own queries, key and value. Each thread has one pair, of every few heads.
template <typename Codes, int headSize>
struct OwnRow {
  using T = typename Codes::Operand;
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

  // Into shared memory, and the key and the value also into their page where `writes`, unless it has codes. All reads
  // come before the first write, so that none waits for another.
  __device__ void put(const AttentionParameters& p, const HeadBlock& block, int row,
                      const DecodeMemory<Codes, headSize>& to, const Pages<Codes>& pages, std::size_t own,
                      bool writes) const {
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
        if constexpr (!Codes::scaled)
          if (writes) putPair(pages.keys + own, key);
      } else {
        const Pair<T> value{2 * pair, 2 * pair + 1, pairs[turn][0], pairs[turn][1]};
        putPair(to.value, value);
        if constexpr (!Codes::scaled)
          if (writes) putPair(pages.values + own, value);
      }
    }
  }
};

// The codes of the row's own key and value, by a warp each, from shared memory into it and, where `writes`, into the
// page.
template <typename Codes, int headSize>
__device__ void encodeOwn(const AttentionParameters& p, const DecodeMemory<Codes, headSize>& memory,
                          const Pages<Codes>& pages, int page, int position, int kvHead, bool writes) {
  constexpr int each = 4;
  constexpr int turns = divideUp(headSize, 32 * each);
  const int side = threadIdx.x / 32;
  if (side > 1) return;
  const auto* from = side == 0 ? memory.key : memory.value;
  const int first = threadIdx.x % 32 * each;
  float elements[turns][each];
  float most = 0;
#pragma unroll
  for (int turn = 0; turn < turns; ++turn)
#pragma unroll
    for (int i = 0; i < each; ++i) {
      const int element = first + turn * 32 * each + i;
      elements[turn][i] = element < headSize ? toFloat(from[element]) : 0;
      most = fmaxf(most, fabsf(elements[turn][i]));
    }
  const auto scale = VectorScale::of<Codes>(most);
  std::uint8_t* const to = side == 0 ? pages.keys : pages.values;
#pragma unroll
  for (int turn = 0; turn < turns; ++turn) {
    const int element = first + turn * 32 * each;
    if (element >= headSize) continue;
    std::uint32_t codes = 0;
#pragma unroll
    for (int i = 0; i < each; ++i) codes |= Codes::encode(elements[turn][i] * scale.inverse) << 8 * i;
    *reinterpret_cast<std::uint32_t*>(memory.ownCodes + side * headSize + element) = codes;
    if (writes)
      *reinterpret_cast<std::uint32_t*>(to + Pages<Codes>::inPage(p, page, position, kvHead) + element) = codes;
  }
  if (first > 0) return;
  memory.ownScales[side] = scale.scale;
  if (writes) *reinterpret_cast<float*>(to + Pages<Codes>::scaleInPage(p, page, position, kvHead)) = scale.scale;
}

// A warp's tiles of a split, one on its way to registers while the one before it is worked on.
template <typename Codes, int headSize>
struct DecodeTiles {
  using Work = AttentionWarp<Codes, headSize>;
  using Element = typename Codes::Element;
  using Vector = typename Codes::Vector;
  const AttentionParameters& p;
  const Pages<Codes>& pages;
  const int kvHead;
  const int position;
  const int end;
  int tile;
  // That the next tile is in.
  int page = 0;
  typename Work::Keys keys;
  typename Work::Values values;
  typename Codes::Scales scales;

  __device__ DecodeTiles(const AttentionParameters& parameters, const Pages<Codes>& from, int head, int ownPosition,
                         int begin, int endTile)
      : p(parameters), pages(from), kvHead(head), position(ownPosition), end(endTile), tile(begin) {
    readPage(tile);
  }

  __device__ void readPage(int of) {
    if (of < end) page = loadPast(pages.table + of * attentionTokens / p.pageSize);
  }
  __device__ std::size_t at(int of) const { return Pages<Codes>::inPage(p, page, of * attentionTokens, kvHead); }

  // Of the tokens before the row's own, which is nowhere yet.
  __device__ void readKeys(const Work& work, int of) {
    const Element* from = pages.keys + at(of);
    const int first = of * attentionTokens;
    work.readKeys(keys, [&](Vector& to, int token, int element) {
      to = Codes::loadPast(from + token * headSize + element, first + token < position);
    });
    if constexpr (Codes::scaled) readScales(work, pages.keys, of, scales.keys);
  }
  __device__ void readValues(const Work& work, int of) {
    const Element* from = pages.values + at(of);
    const int first = of * attentionTokens;
    work.readValues(values, [&](Vector& to, int token, int element) {
      to = Codes::loadPast(from + token * headSize + element, first + token < position);
    });
    if constexpr (Codes::scaled) readScales(work, pages.values, of, scales.values);
  }
  // Two tokens at once: the second of them may be the row's own.
  __device__ void readScales(const Work& work, const Element* side, int of, float (&to)[2][2]) const {
    const Element* from = side + Pages<Codes>::scaleInPage(p, page, of * attentionTokens, kvHead);
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      const int token = work.scoredToken(n);
      const uint2 two = loadPast8(from + token * sizeof(float), of * attentionTokens + token < position);
      to[n][0] = __uint_as_float(two.x);
      to[n][1] = __uint_as_float(two.y);
    }
  }
  // The row's own, if it is in the tile.
  __device__ void putOwn(const Work& work, const DecodeMemory<Codes, headSize>& memory) {
    const int own = position - tile * attentionTokens;
    if (own >= attentionTokens) return;
    const Element* key;
    const Element* value;
    if constexpr (Codes::scaled) {
      key = memory.ownCodes;
      value = memory.ownCodes + headSize;
    } else {
      key = memory.key;
      value = memory.value;
    }
    work.readKeys(keys, [&](Vector& to, int token, int element) {
      if (token == own) to = Codes::load(key + element);
    });
    work.readValues(values, [&](Vector& to, int token, int element) {
      if (token == own) to = Codes::load(value + element);
    });
    if constexpr (Codes::scaled) {
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i)
          if (work.scoredToken(n) + i == own) {
            scales.keys[n][i] = memory.ownScales[0];
            scales.values[n][i] = memory.ownScales[1];
          }
    }
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
template <typename Codes, int headSize>
__device__ void joinWarps(const AttentionParameters& p, const HeadBlock& block, int row, int active,
                          const DecodeMemory<Codes, headSize>& memory, bool isResult) {
  using T = typename Codes::Operand;
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

template <typename Codes, int headSize>
__device__ void decodeSplit(const AttentionParameters& p, const HeadBlock& block, int row, int slot, int position,
                            const AttentionSplits& splits) {
  constexpr int warps = attentionDecodeWarps(headSize);
  const DecodeMemory<Codes, headSize> memory(block.heads);
  const int split = blockIdx.x;
  const int warp = threadIdx.x / 32;
  const int begin = splits.firstTile + split * splits.tilesPerSplit;
  const int end = min(begin + splits.tilesPerSplit, splits.firstTile + splits.tiles);
  const Pages<Codes> pages(p, slot);

  // All that follows here is older than the step, or a constant (see decode()).
  AttentionWarp<Codes, headSize> work;
  DecodeTiles<Codes, headSize> tiles(p, pages, block.kvHead, position, begin + warp, end);
  if (tiles.tile < end) {
    tiles.readKeys(work, tiles.tile);
    tiles.readValues(work, tiles.tile);
    tiles.readPage(tiles.tile + warps);
  }
  const OwnRow<Codes, headSize> own(p, position);
  // Only the blocks of the last split need it.
  const bool hasOwn = split == splits.used - 1;
  const int ownPage = hasOwn ? loadPast(pages.table + position / p.pageSize) : 0;
  const std::size_t ownAt = Pages<Codes>::inPage(p, ownPage, position, block.kvHead);
  constexpr int vectors = queryStride(headSize) / elementsPerVector;
  for (int i = threadIdx.x + block.heads * vectors; i < attentionRows * vectors; i += warps * 32)
    reinterpret_cast<uint4*>(memory.queries)[i] = make_uint4(0, 0, 0, 0);
  waitForPredecessor();

  own.put(p, block, row, memory, pages, ownAt, hasOwn && block.isFirst);
  __syncthreads();
  if constexpr (Codes::scaled) {
    if (hasOwn) {
      encodeOwn(p, memory, pages, ownPage, position, block.kvHead, block.isFirst);
      __syncthreads();
    }
  }
  const int from = p.window > 0 ? max(0, position - p.window + 1) : 0;
  for (; tiles.tile < end; tiles.tile += warps) {
    const int next = tiles.tile + warps;
    tiles.putOwn(work, memory);
    float scores[2][4];
    work.score(p, memory.queries, tiles.keys, tiles.scales, tiles.tile * attentionTokens, {from, from},
               {position, position}, scores);
    if (next < end) tiles.readKeys(work, next);
    work.weigh(scores, tiles.values, tiles.scales);
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
    joinSplits<typename Codes::Operand, headSize>(p, block, row, splits.used);
}

// While the predecessor ends, a block has its first keys and values on their way, and all that tells it where they are.
// That is safe because none of it is written by the kernels of this step that may still be under way: slots and
// positions come from begin_step or from copies, addresses and page tables from copies, older keys and values from
// earlier steps; and begin_step lets nobody begin before all that came before it, and its own results, are in memory.
// The row's own queries, key and value are the predecessor's.
template <typename Codes, int headSize>
__device__ void decode(const AttentionParameters& p) {
  letSuccessorBegin();
  const HeadBlock block(p, blockIdx.y);
  const int row = blockIdx.z;
  const int slot = loadPast(p.runSlots + row);
  const int position = loadPast(p.positions + row);
  const AttentionSplits splits = attentionSplitsOf(position, p.window, p.splits);
  if (slot >= 0 && static_cast<int>(blockIdx.x) < splits.used) {
    decodeSplit<Codes, headSize>(p, block, row, slot, position, splits);
    return;
  }
  // Those after this kernel take it that all before it is done when this one is.
  waitForPredecessor();
  if (slot < 0 && blockIdx.x == 0)
    for (int head = 0; head < block.heads; ++head) zeroOut<typename Codes::Operand>(p, row, block.firstHead + head);
}

}  // namespace tensorrt_node::kernels
