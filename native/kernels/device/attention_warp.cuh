// Attention of up to 16 rows (queries of heads that share keys) over tokens, 16 at a time, by one warp: scores and
// sums on tensor cores, with the softmax kept up to date as it goes (Milakov and Gimelshein 2018, Dao et al. 2022).
// Keys and values come straight from memory, or from shared memory. Codes says what they are there (cache_codes.cuh).
//
// As in linear.cu the instruction's inner index is dealt out so that a lane's elements are those of 16-byte reads: for
// scores the elements of a head, for sums (whose columns are dealt out likewise) those of a value.
#pragma once

#include "../geometry.h"
#include "../parameters.h"
#include "../workspace.h"
#include "cache_codes.cuh"

namespace tensorrt_node::kernels {

constexpr float log2OfE = 1.4426950408889634F;

template <typename Codes, int headSize>
struct AttentionWarp {
  using T = typename Codes::Operand;
  using Element = typename Codes::Element;
  using Vector = typename Codes::Vector;
  // Elements of a head that four lanes read at once, and of a value that eight do.
  static constexpr int keyParts = divideUp(headSize, 32);
  static constexpr int valueParts = divideUp(headSize, 64);

  // Of lane 4g + t, for the rows g and g + 8: sums[8c + j] belong to the elements 64c + 16t + j and + 8 of either row.
  float sums[8 * valueParts][4];
  // In powers of two.
  float most[2];
  // This lane's share.
  float total[2];
  const int lane = threadIdx.x % 32;
  const int group = lane / 4;
  const int inGroup = lane % 4;

  __device__ AttentionWarp() {
#pragma unroll
    for (auto& sum : sums)
#pragma unroll
      for (float& each : sum) each = 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      most[half] = -INFINITY;
      total[half] = 0;
    }
  }

  // This lane's share of the keys of 16 tokens: of the tokens g and g + 8.
  struct Keys {
    Vector of[2][keyParts];
  };
  // And of their values: of the tokens 2t, 2t + 1, 2t + 8 and 2t + 9.
  struct Values {
    Vector of[valueParts][4];
  };

  // Calls load(token, element) for the vectors of eight elements that are this lane's.
  template <typename Load>
  __device__ void readKeys(Keys& keys, Load load) const {
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int part = 0; part < keyParts; ++part) {
        const int element = 32 * part + 8 * inGroup;
        if (element < headSize)
          load(keys.of[n][part], 8 * n + group, element);
        else
          keys.of[n][part] = Codes::zeros();
      }
  }
  template <typename Load>
  __device__ void readValues(Values& values, Load load) const {
#pragma unroll
    for (int part = 0; part < valueParts; ++part)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int element = 64 * part + 8 * group;
        if (element < headSize)
          load(values.of[part][i], 2 * inGroup + i % 2 + 8 * (i / 2), element);
        else
          values.of[part][i] = Codes::zeros();
      }
  }

  // The first of this lane's tokens 2t + 8n and 2t + 8n + 1, whose scores it has.
  __device__ int scoredToken(int n) const {
    return 8 * n + 2 * inGroup;
  }

  // Tokens `first` to first + 15, whose keys and values begin at the addresses, a stride of elements apart; those after
  // `last` are not read, and row g + 8i sees those of seenFrom[i] to seenTo[i]. `queries`: 16 rows in shared memory,
  // queryStride() apart. `keyScales` and `valueScales`: of all 16 tokens, where codes have scales.
  template <int keyStride, int valueStride>
  __device__ void add(const AttentionParameters& p, const T* queries, const Element* keys, const Element* values,
                      const float* keyScales, const float* valueScales, int first, int last, const int (&seenFrom)[2],
                      const int (&seenTo)[2]) {
    Keys key;
    readKeys(key, [&](Vector& to, int token, int element) { read<keyStride>(to, keys, token, element, first, last); });
    Values value;
    readValues(value,
               [&](Vector& to, int token, int element) { read<valueStride>(to, values, token, element, first, last); });
    typename Codes::Scales scales;
    if constexpr (Codes::scaled) {
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int token = scoredToken(n) + i;
          scales.keys[n][i] = first + token > last ? 0 : keyScales[token];
          scales.values[n][i] = first + token > last ? 0 : valueScales[token];
        }
    }
    float scores[2][4];
    score(p, queries, key, scales, first, seenFrom, seenTo, scores);
    weigh(scores, value, scales);
  }

  // The scores of the tokens `first` to first + 15.
  __device__ void score(const AttentionParameters& p, const T* queries, const Keys& keys,
                        const typename Codes::Scales& scales, int first, const int (&seenFrom)[2],
                        const int (&seenTo)[2], float (&scores)[2][4]) const {
#pragma unroll
    for (auto& each : scores)
#pragma unroll
      for (float& of : each) of = 0;
#pragma unroll
    for (int part = 0; part < keyParts; ++part) {
      const uint4 a = query(queries, group, 32 * part + 8 * inGroup);
      const uint4 b = query(queries, group + 8, 32 * part + 8 * inGroup);
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        multiplyAdd(scores[n], a.x, b.x, a.y, b.y, Codes::pair(keys.of[n][part], 0), Codes::pair(keys.of[n][part], 1),
                    T());
        multiplyAdd(scores[n], a.z, b.z, a.w, b.w, Codes::pair(keys.of[n][part], 2), Codes::pair(keys.of[n][part], 3),
                    T());
      }
    }

#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int token = first + scoredToken(n) + i % 2;
        if constexpr (Codes::scaled) scores[n][i] *= scales.keys[n][i % 2] * (Codes::weightUnit * Codes::sumUnit);
        const bool seen = token >= seenFrom[i / 2] && token <= seenTo[i / 2];
        scores[n][i] = seen ? scaled(p, scores[n][i]) : -INFINITY;
      }
  }

  // Adds the values up by their scores.
  __device__ void weigh(float (&scores)[2][4], const Values& values, const typename Codes::Scales& scales) {
    normalise(scores);
    if constexpr (Codes::scaled) {
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) scores[n][i] *= scales.values[n][i % 2] * Codes::weightUnit;
    }

    // What comes out as two tiles' columns goes in as one tile's rows.
    const std::uint32_t a0 = pack<T>(scores[0][0], scores[0][1]);
    const std::uint32_t a1 = pack<T>(scores[0][2], scores[0][3]);
    const std::uint32_t a2 = pack<T>(scores[1][0], scores[1][1]);
    const std::uint32_t a3 = pack<T>(scores[1][2], scores[1][3]);
#pragma unroll
    for (int part = 0; part < valueParts; ++part)
#pragma unroll
      for (int j = 0; j < 8; ++j)
        multiplyAdd(sums[8 * part + j], a0, a1, a2, a3, Codes::column(values.of[part][0], values.of[part][1], j),
                    Codes::column(values.of[part][2], values.of[part][3], j), T());
  }

  // Adds the lanes' shares up.
  __device__ void finish() {
    if constexpr (Codes::scaled) {
#pragma unroll
      for (auto& sum : sums)
#pragma unroll
        for (float& each : sum) each *= Codes::sumUnit;
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      total[half] += __shfl_xor_sync(0xFFFFFFFF, total[half], 1);
      total[half] += __shfl_xor_sync(0xFFFFFFFF, total[half], 2);
    }
  }

  // Calls store(row, element, eight sums) for each run of eight elements that this lane has.
  template <typename Store>
  __device__ void forEachVector(Store store) const {
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int part = 0; part < valueParts; ++part)
#pragma unroll
        for (int side = 0; side < 2; ++side) {
          const int element = 64 * part + 16 * inGroup + 8 * side;
          if (element >= headSize) continue;
          float vector[8];
#pragma unroll
          for (int j = 0; j < 8; ++j) vector[j] = sums[8 * part + j][2 * half + side];
          store(group + 8 * half, element, vector);
        }
  }

 private:
  // What was never written may be anything, and zero times that is not zero.
  template <int stride>
  __device__ static void read(Vector& to, const Element* from, int token, int element, int first, int last) {
    to = first + token > last ? Codes::zeros() : Codes::load(from + token * stride + element);
  }

  __device__ static uint4 query(const T* queries, int row, int element) {
    if (element >= headSize) return make_uint4(0, 0, 0, 0);
    return *reinterpret_cast<const uint4*>(queries + row * queryStride(headSize) + element);
  }

  __device__ static float scaled(const AttentionParameters& p, float score) {
    score *= p.scale;
    if (p.softcap > 0) score = p.softcap * tanhf(score / p.softcap);
    return score * log2OfE;
  }

  // Scores become exponentials relative to the largest so far.
  __device__ void normalise(float (&scores)[2][4]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = fmaxf(fmaxf(scores[0][2 * half], scores[0][2 * half + 1]),
                            fmaxf(scores[1][2 * half], scores[1][2 * half + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFF, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFF, largest, 2));
      largest = fmaxf(largest, most[half]);
      // A row that has seen nothing yet.
      const float base = largest == -INFINITY ? 0 : largest;
      const float shrink = exp2f(most[half] - base);
      most[half] = largest;
      float sum = 0;
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[n][i] = exp2f(scores[n][i] - base);
          sum += scores[n][i];
        }
      total[half] = total[half] * shrink + sum;
#pragma unroll
      for (auto& each : sums) {
        each[2 * half] *= shrink;
        each[2 * half + 1] *= shrink;
      }
    }
  }
};

}  // namespace tensorrt_node::kernels
