// References: rotary positions (Su et al. 2021), keys and values in pages, and attention over them.
#include <algorithm>
#include <cmath>

#include "cached_vector.h"
#include "element.h"
#include "references.h"

namespace simulator::kernels {

namespace {

std::size_t rowElements(const AttentionParameters& p) {
  return at(p.heads + 2 * p.kvHeads) * at(p.headSize);
}

// A head of a row of qkv, rotated to its position and rounded as it is kept.
template <typename Element>
std::vector<float> rotated(const AttentionParameters& p, std::int32_t row, std::int32_t head) {
  std::vector<float> x(at(p.headSize));
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = load<Element>(p.qkv, at(row) * rowElements(p) + at(head) * at(p.headSize) + i);
  if (p.cos == nullptr) return x;
  const std::size_t half = at(p.rotarySize) / 2;
  for (std::size_t i = 0; i < half; ++i) {
    const std::size_t first = p.interleaved != 0 ? 2 * i : i;
    const std::size_t second = p.interleaved != 0 ? 2 * i + 1 : i + half;
    const float cos = p.cos[at(p.positions[row]) * half + i];
    const float sin = p.sin[at(p.positions[row]) * half + i];
    const float a = x[first];
    const float b = x[second];
    x[first] = round<Element>(a * cos - b * sin);
    x[second] = round<Element>(b * cos + a * sin);
  }
  return x;
}

template <typename Element>
void attendRow(const AttentionParameters& p, std::int32_t slot, std::int32_t row) {
  const std::int32_t last = p.positions[row];
  const std::int32_t first = p.window > 0 ? std::max(0, last - p.window + 1) : 0;
  for (std::int32_t head = 0; head < p.heads; ++head) {
    const std::int32_t kvHead = head / (p.heads / p.kvHeads);
    const std::vector<float> query = rotated<Element>(p, row, head);
    std::vector<float> scores;
    for (std::int32_t token = first; token <= last; ++token) {
      const std::vector<float> key = CachedVector(p, 0, slot, token, kvHead).template read<Element>();
      float score = 0;
      for (std::size_t i = 0; i < query.size(); ++i) score += query[i] * key[i];
      score *= p.scale;
      if (p.softcap > 0) score = p.softcap * std::tanh(score / p.softcap);
      scores.push_back(score);
    }
    const float most = *std::ranges::max_element(scores);
    float total = 0;
    for (float& score : scores) {
      score = std::exp(score - most);
      total += score;
    }
    std::vector<float> out(query.size());
    for (std::int32_t token = first; token <= last; ++token) {
      const std::vector<float> value = CachedVector(p, 1, slot, token, kvHead).template read<Element>();
      for (std::size_t i = 0; i < out.size(); ++i) out[i] += scores[at(token - first)] / total * value[i];
    }
    for (std::size_t i = 0; i < out.size(); ++i)
      store<Element>(p.out, (at(row) * at(p.heads) + at(head)) * at(p.headSize) + i, out[i]);
  }
}

}  // namespace

template <typename Element>
void appendToPages(const AttentionParameters& p) {
  for (std::int32_t run = 0; run < p.runs; ++run) {
    const std::int32_t slot = p.runSlots[run];
    if (slot < 0) continue;
    for (std::int32_t row = p.runStarts[run]; row < p.runStarts[run + 1]; ++row)
      for (std::int32_t head = 0; head < p.kvHeads; ++head) {
        const std::size_t from = at(row) * rowElements(p) + at(p.heads + p.kvHeads + head) * at(p.headSize);
        std::vector<float> value(at(p.headSize));
        for (std::size_t i = 0; i < value.size(); ++i) value[i] = load<Element>(p.qkv, from + i);
        CachedVector(p, 0, slot, p.positions[row], head).write<Element>(rotated<Element>(p, row, p.heads + head));
        CachedVector(p, 1, slot, p.positions[row], head).write<Element>(value);
      }
  }
}

template <typename Element>
void attend(const AttentionParameters& p) {
  for (std::int32_t run = 0; run < p.runs; ++run)
    for (std::int32_t row = p.runStarts[run]; row < p.runStarts[run + 1]; ++row) {
      if (p.runSlots[run] >= 0) {
        attendRow<Element>(p, p.runSlots[run], row);
        continue;
      }
      const std::size_t width = at(p.heads) * at(p.headSize);
      for (std::size_t i = 0; i < width; ++i) store<Element>(p.out, at(row) * width + i, 0);
    }
}

template void appendToPages<Half>(const AttentionParameters&);
template void appendToPages<Bfloat>(const AttentionParameters&);
template void attend<Half>(const AttentionParameters&);
template void attend<Bfloat>(const AttentionParameters&);

// How many slots and positions there are the struct does not say.
std::vector<Touch> touches(const AttentionParameters& p) {
  return {reads(p.qkv, at(p.rows) * rowElements(p) * 2),
          writes(p.out, at(p.rows) * at(p.heads) * at(p.headSize) * 2),
          reads(p.cache, 16),
          reads(p.pages, at(p.pagesPerSlot) * 4),
          reads(p.runStarts, at(p.runs + 1) * 4),
          reads(p.runSlots, at(p.runs) * 4),
          reads(p.positions, at(p.rows) * 4)};
}

}  // namespace simulator::kernels
