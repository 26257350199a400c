// Runs every kernel on the GPU against plain references in double precision, on odd sizes; built and run by kernels.sh.
//
//   kernels [PART_OF_A_NAME] [--part I/N] [--bench]
//
// With --part, every Nth case, from the Ith on. A line a case, PASS or FAIL; with --bench a JSON line for each shape of
// an 8B and a 135M decoder instead. The exit status is 1 if anything failed.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cuda/driver.h"
#include "kernel_test.h"
#include "kernel_times.h"
#include "kernels/geometry.h"
#include "kernels/kernels.h"
#include "kernels/launch.h"
#include "product_case.h"

namespace simulator::kernels {
void sample(const tensorrt_node::kernels::SampleParameters& p);
}

namespace {

using namespace kernel_test;

template <typename Element>
void testEmbed(Gpu& gpu, int rows, int width, int vocabulary) {
  const std::string name = text("embed", nameOf<Element>(), rows, width);
  if (!wanted(name)) return;
  const auto table = rounded<Element>(normal(static_cast<std::size_t>(vocabulary) * width));
  std::vector<std::int32_t> tokens;
  for (int row = 0; row < rows; ++row)
    tokens.push_back(row == 1 ? -1 : row == 2 ? vocabulary : (row * 7919) % vocabulary);
  void* out = gpu.empty(static_cast<std::size_t>(rows) * width * 2);
  embed(gpu.kernels(), gpu.stream(), typeOf<Element>(),
        {gpu.put(tokens), gpu.put(table), out, rows, width, vocabulary});
  std::vector<double> expected;
  for (const int token : tokens)
    for (int i = 0; i < width; ++i)
      expected.push_back(token >= 0 && token < vocabulary ? table[static_cast<std::size_t>(token) * width + i].value()
                                                          : 0);
  compare(name, gpu.take<Element>(out, expected.size()), expected, 1e-12);
  gpu.release();
}

template <typename Element>
void testRmsNorm(Gpu& gpu, int rows, int width, bool skips) {
  const std::string name = text("rms_norm", nameOf<Element>(), rows, width, skips ? "skip" : "plain");
  if (!wanted(name)) return;
  const std::size_t count = static_cast<std::size_t>(rows) * width;
  const auto x = rounded<Element>(normal(count, 3));
  const auto skip = rounded<Element>(normal(count, 3));
  const auto weight = rounded<Element>(normal(width));
  void* y = gpu.empty(count * 2);
  // In place, as decoders do.
  Element* sum = gpu.put(skip);
  rmsNorm(gpu.kernels(), gpu.stream(), typeOf<Element>(),
          {gpu.put(x), skips ? sum : nullptr, gpu.put(weight), y, skips ? sum : nullptr, rows, width, 1e-5F});
  std::vector<double> sums;
  std::vector<double> expected;
  for (int row = 0; row < rows; ++row) {
    double squares = 0;
    const std::size_t begin = static_cast<std::size_t>(row) * width;
    for (int i = 0; i < width; ++i) {
      sums.push_back(x[begin + i].value() + (skips ? static_cast<double>(skip[begin + i].value()) : 0));
      squares += sums.back() * sums.back();
    }
    for (int i = 0; i < width; ++i)
      expected.push_back(sums[begin + i] / std::sqrt(squares / width + 1e-5) * weight[i].value());
  }
  compare(name, gpu.take<Element>(y, count), expected, 1.5 * unit<Element>());
  if (skips) compare(name + " sum", gpu.take<Element>(sum, count), sums, 1.01 * unit<Element>());
  gpu.release();
}

template <typename Element>
void testGatedActivation(Gpu& gpu, int rows, int width, Activation activation) {
  const std::string name = text("gated_activation", nameOf<Element>(), rows, width, static_cast<int>(activation));
  if (!wanted(name)) return;
  const auto gateUp = rounded<Element>(normal(static_cast<std::size_t>(rows) * width * 2, 2));
  void* y = gpu.empty(static_cast<std::size_t>(rows) * width * 2);
  gatedActivation(gpu.kernels(), gpu.stream(), typeOf<Element>(), {gpu.put(gateUp), y, rows, width, activation});
  std::vector<double> expected;
  for (int row = 0; row < rows; ++row)
    for (int i = 0; i < width; ++i) {
      const std::size_t gate = static_cast<std::size_t>(row) * width * 2 + i;
      expected.push_back(activated(activation, gateUp[gate].value()) * gateUp[gate + width].value());
    }
  compare(name, gpu.take<Element>(y, expected.size()), expected, 1.2 * unit<Element>());
  gpu.release();
}

template <typename Element>
struct DenseProduct {
  std::vector<double> weights;
  Product<Element> product;
};

template <typename Element>
DenseProduct<Element> makeLinear(Gpu& gpu, const ProductCase& c) {
  const float scale = 1 / std::sqrt(static_cast<float>(c.inner));
  const auto weight = rounded<Element>(normal(sizeOf(c.outer, c.inner), scale));
  std::vector<double> weights;
  for (const Element each : weight) weights.push_back(each.value());
  return {std::move(weights),
          makeProduct<Element>(gpu, c, gpu.put(weight), linearWorkspaceBytes(c.rows, c.inner, c.normed))};
}

// `fewRows` as of linear().
template <typename Element>
void testLinear(Gpu& gpu, const ProductCase& c, int fewRows = linearFewRows) {
  const std::string name = text("linear", nameOf<Element>(), textOf(c), fewRows == 0 ? "tiles" : "");
  if (!wanted(name)) return;
  const auto [weights, d] = makeLinear<Element>(gpu, c);
  linear(gpu.kernels(), gpu.stream(), typeOf<Element>(), d.p, fewRows);
  const auto expected = expectedOf(c, d, weights, [](double x) { return x; });
  // What is normalised may be rounded before it is multiplied, as by RmsNorm; a gate's error is that of its up too.
  const bool rounds = c.normed && (c.rows > fewRows || c.inner % 8 != 0);
  const double inside = rounds ? (c.gated < 0 ? 2 : 6) * unit<Element>() : 4e-6;
  compareProduct(gpu, name, c, d, expected, inside);
  gpu.release();
}

// The kernel for many rows adds up in the same order however many they are.
template <typename Element>
void testLinearRows(Gpu& gpu, bool gated) {
  const std::string name = text("linear rows", nameOf<Element>(), gated ? "gated" : "");
  if (!wanted(name)) return;
  const ProductCase c{.rows = 70, .inner = 1000, .outer = 46, .wide = true, .normed = true, .gated = gated ? 0 : -1};
  const auto d = makeLinear<Element>(gpu, c).product;
  verdict(name, rowsAreAlone(gpu, c, d, {70, 64, 33, 32, 24, 17, 16, 9, 8, 5}, [&](const LinearParameters& p) {
            linear(gpu.kernels(), gpu.stream(), typeOf<Element>(), p);
          }));
  gpu.release();
}

// One sequence of a call: its rows are those at the end of `length` tokens. Negative is padding of so many rows.
struct Run {
  int length;
  int rows;
};

struct AttentionCase {
  int heads;
  int kvHeads;
  int headSize;
  int rotarySize;
  bool interleaved;
  int window;
  float softcap;
  int splits;
  std::vector<Run> runs;
  CacheType cache = CacheType::plain;
};

constexpr CacheType cacheTypes[] = {CacheType::plain, CacheType::float8, CacheType::int8};

std::string suffixOf(CacheType type) {
  return type == CacheType::plain ? "" : type == CacheType::int8 ? "_int8" : "_fp8";
}

// By code; NaN for what is none.
double valueOf(CacheType type, std::uint8_t code) {
  if (type == CacheType::int8) return code == 0x80 ? std::nan("") : static_cast<std::int8_t>(code);
  const int exponent = code / 16 % 8;
  if (exponent == 7) return std::nan("");
  const double value = exponent == 0 ? code % 16 / 64.0 : (1 + code % 16 / 16.0) * std::exp2(exponent - 3);
  return code < 0x80 ? value : -value;
}

// All numbers of 8 bits that codes stand for, in the order of their size.
std::vector<std::pair<double, std::uint8_t>> makeCodes(CacheType type) {
  std::vector<std::pair<double, std::uint8_t>> all;
  for (int code = 0; code < 256; ++code)
    if (code != 0x80 && !std::isnan(valueOf(type, static_cast<std::uint8_t>(code))))
      all.emplace_back(valueOf(type, static_cast<std::uint8_t>(code)), static_cast<std::uint8_t>(code));
  std::sort(all.begin(), all.end());
  return all;
}

const std::vector<std::pair<double, std::uint8_t>>& codesOf(CacheType type) {
  static const auto int8 = makeCodes(CacheType::int8);
  static const auto float8 = makeCodes(CacheType::float8);
  return type == CacheType::int8 ? int8 : float8;
}

// A head's vector as a page keeps it.
struct CodedVector {
  std::vector<std::uint8_t> codes;
  std::vector<double> values;
  float scale = 0;
  // The largest distance of a value from the next code's.
  std::vector<double> steps;
};

CodedVector coded(CacheType type, const std::vector<double>& x) {
  const auto& table = codesOf(type);
  const float largest = type == CacheType::int8 ? 127 : 15.5F;
  float most = std::ldexp(1.0F, -64);
  for (const double each : x) most = std::max(most, static_cast<float>(std::abs(each)));
  CodedVector out;
  out.scale = most / largest;
  for (const double each : x) {
    const double scaled = static_cast<float>(each) * (largest / most);
    auto nearest = std::lower_bound(table.begin(), table.end(), std::pair<double, std::uint8_t>(scaled, 0));
    if (nearest == table.end()) --nearest;
    if (nearest != table.begin()) {
      const auto below = nearest - 1;
      const double further = (nearest->first - scaled) - (scaled - below->first);
      if (further > 0 || (further == 0 && below->second % 2 == 0)) nearest = below;
    }
    // A zero has the sign of what it was.
    const bool isMinus = type == CacheType::float8 && nearest->second == 0 && std::signbit(scaled);
    out.codes.push_back(isMinus ? 0x80 : nearest->second);
    out.values.push_back(nearest->first * out.scale);
    const double step = type == CacheType::int8 ? 1 : std::max(std::abs(scaled) / 16, 1.0 / 64);
    out.steps.push_back(1.01 * step * out.scale);
  }
  return out;
}

template <typename Element>
struct AttentionData {
  static constexpr int pageSize = 64;
  AttentionParameters p{};
  // By run, then token, head and element: what was there before, and what the call brings.
  std::vector<std::vector<double>> keys;
  std::vector<std::vector<double>> values;
  std::vector<Element> qkv;
  std::vector<float> cos;
  std::vector<float> sin;
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> starts{0};
  std::size_t poolBytes = 0;
  void* pools[2] = {};
};

template <typename Element>
std::vector<double> rotated(const AttentionCase& c, const AttentionData<Element>& d, int row, int head) {
  std::vector<double> x;
  const std::size_t begin = (static_cast<std::size_t>(row) * (c.heads + 2 * c.kvHeads) + head) * c.headSize;
  for (int i = 0; i < c.headSize; ++i) x.push_back(d.qkv[begin + i].value());
  const int half = c.rotarySize / 2;
  for (int i = 0; i < half; ++i) {
    const int first = c.interleaved ? 2 * i : i;
    const int second = c.interleaved ? 2 * i + 1 : i + half;
    const double cos = d.cos[static_cast<std::size_t>(d.positions[row]) * half + i];
    const double sin = d.sin[static_cast<std::size_t>(d.positions[row]) * half + i];
    const double a = x[first];
    const double b = x[second];
    // As they are kept.
    x[first] = Element::of(static_cast<float>(a * cos - b * sin)).value();
    x[second] = Element::of(static_cast<float>(b * cos + a * sin)).value();
  }
  return x;
}

// What a row brings for a head of keys, or of values.
template <typename Element>
std::vector<double> newVector(const AttentionCase& c, const AttentionData<Element>& d, int row, int head,
                              bool isValue) {
  if (!isValue) return rotated(c, d, row, c.heads + head);
  std::vector<double> x;
  const std::size_t at =
      (static_cast<std::size_t>(row) * (c.heads + 2 * c.kvHeads) + c.heads + c.kvHeads + head) * c.headSize;
  for (int i = 0; i < c.headSize; ++i) x.push_back(d.qkv[at + i].value());
  return x;
}

std::vector<double> asKept(const AttentionCase& c, const std::vector<double>& x) {
  return c.cache == CacheType::plain ? x : coded(c.cache, x).values;
}

// Where a token's vector is in the pages, in bytes, and its scale.
struct Place {
  std::size_t vector;
  std::size_t scale;
};
Place placeOf(const AttentionCase& c, int pageSize, int page, int token, int head) {
  const std::size_t at = static_cast<std::size_t>(page) * c.kvHeads + head;
  const std::size_t inPage = token % pageSize;
  if (c.cache == CacheType::plain) return {(at * pageSize + inPage) * c.headSize * 2, 0};
  const std::size_t begin = at * pageSize * (c.headSize + 4);
  return {begin + inPage * c.headSize, begin + static_cast<std::size_t>(pageSize) * c.headSize + inPage * 4};
}

// Returns what it is kept as.
template <typename Element>
std::vector<double> putVector(std::vector<std::uint8_t>& pool, const AttentionCase& c, int pageSize, int page,
                              int token, int head, const std::vector<double>& x) {
  const Place at = placeOf(c, pageSize, page, token, head);
  if (c.cache == CacheType::plain) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      const Element element = Element::of(static_cast<float>(x[i]));
      std::memcpy(&pool[at.vector + 2 * i], &element, 2);
    }
    return x;
  }
  const CodedVector kept = coded(c.cache, x);
  std::copy(kept.codes.begin(), kept.codes.end(), pool.begin() + static_cast<std::ptrdiff_t>(at.vector));
  std::memcpy(&pool[at.scale], &kept.scale, 4);
  return kept.values;
}

template <typename Element>
std::vector<double> takeVector(const std::vector<std::uint8_t>& pool, const AttentionCase& c, const Place& at) {
  std::vector<double> x;
  float scale = 0;
  if (c.cache != CacheType::plain) std::memcpy(&scale, &pool[at.scale], 4);
  for (int i = 0; i < c.headSize; ++i) {
    if (c.cache == CacheType::plain) {
      Element element;
      std::memcpy(&element, &pool[at.vector + 2 * i], 2);
      x.push_back(element.value());
      continue;
    }
    x.push_back(valueOf(c.cache, pool[at.vector + i]) * scale);
  }
  return x;
}

template <typename Element>
AttentionData<Element> makeAttention(Gpu& gpu, const AttentionCase& c) {
  AttentionData<Element> d;
  int longest = 1;
  std::vector<std::int32_t> slots;
  for (const Run& run : c.runs) {
    longest = std::max(longest, run.length);
    slots.push_back(run.length < 0 ? -1 : static_cast<int>(slots.size()));
    d.starts.push_back(d.starts.back() + run.rows);
    for (int row = 0; row < run.rows; ++row) d.positions.push_back(run.length < 0 ? 0 : run.length - run.rows + row);
  }
  const int rows = d.starts.back();
  const int pagesPerSlot = (longest + d.pageSize - 1) / d.pageSize;
  std::vector<std::int32_t> pages(c.runs.size() * pagesPerSlot);
  for (std::size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<int>(i) + 1;
  std::shuffle(pages.begin(), pages.end(), randomness);
  d.poolBytes = (pages.size() + 1) * cachePageBytes(c.cache, c.kvHeads, d.pageSize, c.headSize);
  d.qkv = rounded<Element>(normal(static_cast<std::size_t>(rows) * (c.heads + 2 * c.kvHeads) * c.headSize));
  for (int position = 0; position < longest; ++position)
    for (int i = 0; i < c.rotarySize / 2; ++i) {
      const double angle = position * std::pow(10000.0, -2.0 * i / c.rotarySize);
      d.cos.push_back(static_cast<float>(std::cos(angle)));
      d.sin.push_back(static_cast<float>(std::sin(angle)));
    }

  for (int which = 0; which < 2; ++which) {
    // Tokens that are still to come are NaN.
    std::vector<std::uint8_t> pool(d.poolBytes, 0xFF);
    for (std::size_t run = 0; run < c.runs.size(); ++run) {
      auto& known = (which == 0 ? d.keys : d.values).emplace_back();
      const int before = c.runs[run].length - c.runs[run].rows;
      for (int token = 0; token < before; ++token)
        for (int head = 0; head < c.kvHeads; ++head) {
          std::vector<double> x;
          for (int i = 0; i < c.headSize; ++i) x.push_back(Element::of(normal(1)[0]).value());
          const int page = pages[run * pagesPerSlot + token / d.pageSize];
          const auto kept = putVector<Element>(pool, c, d.pageSize, page, token, head, x);
          known.insert(known.end(), kept.begin(), kept.end());
        }
      for (int row = d.starts[run]; row < d.starts[run + 1]; ++row)
        for (int head = 0; head < c.kvHeads; ++head) {
          const auto kept = asKept(c, newVector(c, d, row, head, which != 0));
          known.insert(known.end(), kept.begin(), kept.end());
        }
    }
    d.pools[which] = gpu.put(pool);
  }

  AttentionParameters& p = d.p;
  p.qkv = gpu.put(d.qkv);
  p.out = gpu.empty(static_cast<std::size_t>(rows) * c.heads * c.headSize * 2);
  p.cos = c.rotarySize == 0 ? nullptr : gpu.put(d.cos);
  p.sin = c.rotarySize == 0 ? nullptr : gpu.put(d.sin);
  p.cache = gpu.put(std::vector<std::int64_t>{reinterpret_cast<std::int64_t>(d.pools[0]),
                                              reinterpret_cast<std::int64_t>(d.pools[1])});
  p.pages = gpu.put(pages);
  p.runStarts = gpu.put(d.starts);
  p.runSlots = gpu.put(slots);
  p.positions = gpu.put(d.positions);
  p.workspace = gpu.empty(attentionWorkspaceBytes(rows, c.heads, c.headSize, c.splits));
  p.rows = rows;
  p.runs = static_cast<int>(c.runs.size());
  p.heads = c.heads;
  p.kvHeads = c.kvHeads;
  p.headSize = c.headSize;
  p.rotarySize = c.rotarySize;
  p.interleaved = c.interleaved ? 1 : 0;
  p.pagesPerSlot = pagesPerSlot;
  p.pageSize = d.pageSize;
  p.window = c.window;
  p.decode = std::ranges::all_of(c.runs, [](const Run& run) { return run.rows == 1; }) ? 1 : 0;
  p.splits = c.splits;
  p.arrivals = gpu.arrivals();
  p.scale = 1 / std::sqrt(static_cast<float>(c.headSize));
  p.cacheType = c.cache;
  p.softcap = c.softcap;
  return d;
}

template <typename Element>
std::vector<double> attentionReference(const AttentionCase& c, const AttentionData<Element>& d) {
  std::vector<double> out;
  for (std::size_t run = 0; run < c.runs.size(); ++run)
    for (int row = d.starts[run]; row < d.starts[run + 1]; ++row)
      for (int head = 0; head < c.heads; ++head) {
        std::vector<double> sums(c.headSize, 0);
        const int last = c.runs[run].length < 0 ? -1 : d.positions[row];
        const int first = c.window > 0 ? std::max(0, last - c.window + 1) : 0;
        const auto query = rotated(c, d, row, head);
        const int kvHead = head / (c.heads / c.kvHeads);
        std::vector<double> scores;
        const auto at = [&](int token) { return (static_cast<std::size_t>(token) * c.kvHeads + kvHead) * c.headSize; };
        for (int token = first; token <= last; ++token) {
          double score = 0;
          for (int i = 0; i < c.headSize; ++i) score += query[i] * d.keys[run][at(token) + i];
          score *= d.p.scale;
          if (c.softcap > 0) score = c.softcap * std::tanh(score / c.softcap);
          scores.push_back(score);
        }
        const double most = scores.empty() ? 0 : *std::max_element(scores.begin(), scores.end());
        double total = 0;
        for (double& score : scores) total += score = std::exp(score - most);
        for (int token = first; token <= last; ++token)
          for (int i = 0; i < c.headSize; ++i) sums[i] += scores[token - first] / total * d.values[run][at(token) + i];
        out.insert(out.end(), sums.begin(), sums.end());
      }
  return out;
}

// A row's bits are the same in each launch, and with padding beside it.
template <typename Element>
void testAttentionAgain(Gpu& gpu, const AttentionCase& c, const AttentionData<Element>& d, const std::string& name,
                        const std::vector<Element>& before) {
  const std::size_t width = static_cast<std::size_t>(c.heads) * c.headSize;
  const auto same = [&](std::size_t row) {
    const auto after = gpu.take<Element>(d.p.out, before.size());
    return std::memcmp(after.data() + row * width, before.data() + row * width, width * sizeof(Element)) == 0;
  };
  bool allSame = true;
  for (int time = 0; time < 3; ++time) attention(gpu.kernels(), gpu.stream(), typeOf<Element>(), d.p);
  for (std::size_t row = 0; row < c.runs.size(); ++row) allSame = allSame && same(row);
  std::vector<std::int32_t> slots(c.runs.size(), -1);
  slots.back() = static_cast<std::int32_t>(slots.size()) - 1;
  AttentionParameters alone = d.p;
  alone.runSlots = gpu.put(slots);
  attention(gpu.kernels(), gpu.stream(), typeOf<Element>(), alone);
  verdict(name + " again", allSame && same(slots.size() - 1));
}

// The pages hold the new keys and values, rounded once, and nothing else has changed. Where the last bit of a rotation
// decides, a code may be the next one.
template <typename Element>
void testPages(Gpu& gpu, const AttentionCase& c, const AttentionData<Element>& d, const std::string& name) {
  const int pagesPerSlot = d.p.pagesPerSlot;
  const auto pages = gpu.take<std::int32_t>(d.p.pages, c.runs.size() * pagesPerSlot);
  for (int which = 0; which < 2; ++which) {
    auto pool = gpu.take<std::uint8_t>(d.pools[which], d.poolBytes);
    std::size_t wrong = 0;
    for (std::size_t run = 0; run < c.runs.size(); ++run)
      for (int token = 0; token < c.runs[run].length; ++token)
        for (int head = 0; head < c.kvHeads; ++head) {
          const Place at = placeOf(c, d.pageSize, pages[run * pagesPerSlot + token / d.pageSize], token, head);
          const auto actual = takeVector<Element>(pool, c, at);
          const bool isNew = token >= c.runs[run].length - c.runs[run].rows;
          const double* wanted = (which == 0 ? d.keys : d.values)[run].data() +
                                 (static_cast<std::size_t>(token) * c.kvHeads + head) * c.headSize;
          std::vector<double> allowed(c.headSize, 0);
          if (isNew && which == 0) {
            const int row = d.starts[run + 1] - c.runs[run].length + token;
            if (c.cache != CacheType::plain) allowed = coded(c.cache, newVector(c, d, row, head, false)).steps;
            for (int i = 0; i < c.headSize; ++i) allowed[i] += 2 * unit<Element>() * (1 + std::abs(actual[i]));
          }
          for (int i = 0; i < c.headSize; ++i)
            if (!(std::abs(actual[i] - wanted[i]) <= allowed[i])) ++wrong;
          const std::size_t bytes = c.cache == CacheType::plain ? 2 : 1;
          std::fill_n(pool.begin() + static_cast<std::ptrdiff_t>(at.vector), c.headSize * bytes, 0xFF);
          if (c.cache != CacheType::plain) std::fill_n(pool.begin() + static_cast<std::ptrdiff_t>(at.scale), 4, 0xFF);
        }
    wrong += static_cast<std::size_t>(std::count_if(pool.begin(), pool.end(), [](auto each) { return each != 0xFF; }));
    verdict(name + (which == 0 ? " keys" : " values"), wrong == 0, std::to_string(wrong) + " elements differ");
  }
}

template <typename Element>
void testAttention(Gpu& gpu, const AttentionCase& c, const std::string& what) {
  const std::string name =
      text("attention", what, nameOf<Element>(), c.heads, c.kvHeads, c.headSize, "rotary", c.rotarySize,
           c.interleaved ? "interleaved" : "", "window", c.window, "splits", c.splits, suffixOf(c.cache));
  if (!wanted(name)) return;
  const auto d = makeAttention<Element>(gpu, c);
  attention(gpu.kernels(), gpu.stream(), typeOf<Element>(), d.p);
  const auto expected = attentionReference(c, d);
  const auto actual = gpu.take<Element>(d.p.out, expected.size());
  compare(name, actual, expected, 2 * unit<Element>());
  if (d.p.decode != 0) testAttentionAgain(gpu, c, d, name, actual);

  testPages(gpu, c, d, name);
  gpu.release();
}

// Attention reads positions and slots before the kernel right before it has ended: right only if begin_step lets it
// begin no earlier than it has written them.
template <typename Element>
void testAttentionOfStep(Gpu& gpu, CacheType cache) {
  const std::string name = text("attention of a step", nameOf<Element>(), static_cast<int>(cache));
  if (!wanted(name)) return;
  const AttentionCase c{8, 2, 128, 128, false, 0, 0, 5, {{1, 1}, {300, 1}, {-1, 1}, {1000, 1}, {77, 1}}, cache};
  const auto d = makeAttention<Element>(gpu, c);
  const std::size_t count = c.runs.size() * c.heads * c.headSize;
  attention(gpu.kernels(), gpu.stream(), typeOf<Element>(), d.p);
  const auto expected = gpu.take<Element>(d.p.out, count);
  const int rows = static_cast<int>(c.runs.size());
  std::vector<std::int32_t> slots;
  std::vector<SlotState> states;
  for (int row = 0; row < rows; ++row) {
    slots.push_back(c.runs[row].length < 0 ? -1 : row);
    states.push_back({.token = 0, .position = c.runs[row].length - 1, .remaining = 1, .running = 1});
  }
  const std::size_t bytes = static_cast<std::size_t>(rows + 1) * sizeof(std::int32_t);
  BeginStepParameters step{};
  step.slots = gpu.put(slots);
  step.states = gpu.put(states);
  step.tokens = static_cast<std::int32_t*>(gpu.empty(bytes));
  step.positions = static_cast<std::int32_t*>(gpu.empty(bytes));
  step.runStarts = static_cast<std::int32_t*>(gpu.empty(bytes));
  step.runSlots = static_cast<std::int32_t*>(gpu.empty(bytes));
  step.rows = rows;
  AttentionParameters p = d.p;
  p.positions = step.positions;
  p.runStarts = step.runStarts;
  p.runSlots = step.runSlots;
  bool right = true;
  for (int time = 0; time < 10; ++time) {
    const auto spoil = [&](void* memory, std::size_t size) {
      cuda::check(cuda::driver().cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(memory), 0xFF, size, gpu.stream()),
                  "cuMemsetD8Async");
    };
    spoil(step.positions, bytes);
    spoil(step.runSlots, bytes);
    spoil(p.out, count * sizeof(Element));
    beginStep(gpu.kernels(), gpu.stream(), step);
    attention(gpu.kernels(), gpu.stream(), typeOf<Element>(), p);
    const auto actual = gpu.take<Element>(p.out, count);
    right = right && std::memcmp(actual.data(), expected.data(), count * sizeof(Element)) == 0;
  }
  verdict(name, right);
  gpu.release();
}

SlotSampling sampling(float temperature, int topK = 0, float topP = 1, float minP = 0, int logprobs = -1) {
  SlotSampling s{};
  s.temperature = temperature;
  s.topP = topP;
  s.minP = minP;
  s.repetitionPenalty = 1;
  s.topK = topK;
  s.seed = 42;
  s.logprobs = logprobs;
  return s;
}

// Rows that differ in logits and in position; each compared with the reference, which changes its own copies.
void testSample(Gpu& gpu, const std::string& what, const SlotSampling& like, int vocabulary, float spread,
                bool penalties, bool ties = false) {
  const std::string name = text("sample", what, vocabulary);
  if (!wanted(name)) return;
  constexpr int rows = 24;
  constexpr int slots = rows;
  auto logits = normal(static_cast<std::size_t>(rows) * vocabulary, spread);
  if (ties)
    for (float& each : logits) each = std::round(each);
  std::vector<std::int32_t> rowSlots;
  for (int row = 0; row < rows; ++row) rowSlots.push_back(row == 3 ? -1 : (row * 5) % slots);
  std::vector<SlotState> states;
  std::vector<SlotSampling> samplings;
  std::vector<std::vector<std::int32_t>> counts;
  const std::vector<std::int32_t> biasTokens{1, vocabulary - 1, 5};
  const std::vector<float> biasValues{3, -INFINITY, 0.5F};
  std::vector<std::int32_t> stops(vocabulary / 2);
  for (int i = 0; i < vocabulary / 2; ++i) stops[i] = 2 * i;
  for (int slot = 0; slot < slots; ++slot) {
    states.push_back({7, 100 * slot, 1 + slot % 3, slot == 6 ? 0 : 1});
    samplings.push_back(like);
    samplings.back().seed = 1000 + slot / 2;
    counts.emplace_back(vocabulary, 0);
    for (int i = 0; i < vocabulary; i += 3)
      counts.back()[i] = i % 2 == 0 ? std::numeric_limits<std::int32_t>::min() + i % 4 : i % 5;
  }
  std::vector<TokenRecord> records(rows);
  std::memset(static_cast<void*>(records.data()), 0xFF, rows * sizeof(TokenRecord));

  // On the GPU.
  std::vector<SlotSampling> onGpu = samplings;
  std::vector<std::int32_t*> gpuCounts;
  for (int slot = 0; slot < slots; ++slot) {
    gpuCounts.push_back(penalties ? gpu.put(counts[slot]) : nullptr);
    onGpu[slot].counts = gpuCounts.back();
    if (slot % 4 == 1) {
      onGpu[slot].stopTokens = static_cast<int>(stops.size());
      onGpu[slot].stopTokenIds = gpu.put(stops);
    }
    if (penalties) {
      onGpu[slot].biases = 3;
      onGpu[slot].biasTokens = gpu.put(biasTokens);
      onGpu[slot].biasValues = gpu.put(biasValues);
    }
  }
  SampleParameters p{};
  p.logits = gpu.put(logits);
  p.slots = gpu.put(rowSlots);
  p.sampling = gpu.put(onGpu);
  p.states = gpu.put(states);
  p.records = gpu.put(records);
  p.workspace = gpu.empty(sampleWorkspaceBytes(rows, vocabulary));
  p.rows = rows;
  p.vocabulary = vocabulary;
  sample(gpu.kernels(), gpu.stream(), p);
  const auto actual = gpu.take<TokenRecord>(p.records, rows);
  const auto actualStates = gpu.take<SlotState>(p.states, slots);

  // Here.
  auto expectedStates = states;
  auto expected = records;
  auto here = samplings;
  for (int slot = 0; slot < slots; ++slot) {
    here[slot].counts = penalties ? counts[slot].data() : nullptr;
    if (slot % 4 == 1) {
      here[slot].stopTokens = static_cast<int>(stops.size());
      here[slot].stopTokenIds = stops.data();
    }
    if (penalties) {
      here[slot].biases = 3;
      here[slot].biasTokens = biasTokens.data();
      here[slot].biasValues = biasValues.data();
    }
  }
  SampleParameters q = p;
  q.logits = logits.data();
  q.slots = rowSlots.data();
  q.sampling = here.data();
  q.states = expectedStates.data();
  q.records = expected.data();
  simulator::kernels::sample(q);

  std::string wrong;
  for (int row = 0; row < rows; ++row) {
    const TokenRecord& a = actual[row];
    const TokenRecord& e = expected[row];
    bool same = a.token == e.token && a.finished == e.finished;
    if (like.logprobs >= 0 && e.token >= 0) {
      same = same && std::abs(a.logprob - e.logprob) < 1e-4;
      for (int i = 0; i < std::min({like.logprobs, maxLogprobs, vocabulary}); ++i)
        same = same && a.topTokens[i] == e.topTokens[i] && std::abs(a.topLogprobs[i] - e.topLogprobs[i]) < 1e-4;
    }
    if (!same) wrong += text(" row", row, "token", a.token, "for", e.token, "finished", a.finished, "for", e.finished);
  }
  for (int slot = 0; slot < slots; ++slot) {
    if (std::memcmp(&actualStates[slot], &expectedStates[slot], sizeof(SlotState)) != 0) wrong += text(" state", slot);
    if (penalties && gpu.take<std::int32_t>(gpuCounts[slot], vocabulary) != counts[slot])
      wrong += text(" counts", slot);
  }
  verdict(name, wrong.empty(), wrong);
  gpu.release();
}

void testSampleProblems(Gpu& gpu) {
  if (!wanted("sample problems")) return;
  constexpr int vocabulary = 5000;
  std::vector<float> logits(3 * vocabulary, 1);
  logits[4500] = std::nanf("");
  std::fill(logits.begin() + vocabulary, logits.begin() + 2 * vocabulary, -INFINITY);
  logits[2 * vocabulary + 4999] = INFINITY;
  SampleParameters p{};
  p.logits = gpu.put(logits);
  p.slots = gpu.put(std::vector<std::int32_t>{0, 1, 2});
  p.sampling = gpu.put(std::vector<SlotSampling>{sampling(0), sampling(0.7F), sampling(1, 0, 0.9F)});
  p.states = gpu.put(std::vector<SlotState>(3, {0, 10, 5, 1}));
  p.records = static_cast<TokenRecord*>(gpu.empty(3 * sizeof(TokenRecord)));
  p.workspace = gpu.empty(sampleWorkspaceBytes(3, vocabulary));
  p.rows = 3;
  p.vocabulary = vocabulary;
  sample(gpu.kernels(), gpu.stream(), p);
  const auto records = gpu.take<TokenRecord>(p.records, 3);
  const auto states = gpu.take<SlotState>(p.states, 3);
  const bool right = records[0].token == notNumbers && records[1].token == noneLeft && records[2].token == 4999 &&
                     records[0].finished == 1 && states[0].running == 0 && states[1].running == 0 &&
                     states[2].running == 1;
  verdict("sample problems", right, text(records[0].token, records[1].token, records[2].token));
  gpu.release();
}

// Whole numbers, which all types hold.
void testConvert(Gpu& gpu, int rows, int columns, bool transposed) {
  const std::string name = text("convert", rows, columns, transposed ? "transposed" : "plain");
  if (!wanted(name)) return;
  std::vector<float> in;
  for (int i = 0; i < rows * columns; ++i) in.push_back(static_cast<float>(i * 31 % 253 - 126));
  void* out = gpu.empty(in.size() * 2);
  convert(gpu.kernels(), gpu.stream(),
          {.in = gpu.put(in),
           .out = out,
           .rows = rows,
           .columns = columns,
           .inType = ElementType::float32,
           .outType = ElementType::bfloat16,
           .transposed = transposed ? 1 : 0});
  const auto actual = gpu.take<std::uint16_t>(out, in.size());
  bool right = true;
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      const float value = in[static_cast<std::size_t>(transposed ? j * rows + i : i * columns + j)];
      // bfloat16 is the upper half of float32, exact for these.
      right = right && actual[static_cast<std::size_t>(i) * columns + j] == std::bit_cast<std::uint32_t>(value) >> 16;
    }
  verdict(name, right);
  gpu.release();
}

void testDequantize(Gpu& gpu, int rows, int columns, int bits, int block, const char* zeroPoints) {
  const std::string name = text("dequantize", rows, columns, bits, block, zeroPoints);
  if (!wanted(name)) return;
  const int blocks = (columns + block - 1) / block;
  const int rowBytes = blocks * block * bits / 8;
  const int packedBytes = (blocks * bits + 7) / 8;
  const bool packed = std::string(zeroPoints) == "packed";
  const bool floating = std::string(zeroPoints) == "floating";
  const auto bytes = [](int count, int step) {
    std::vector<std::uint8_t> made;
    for (int i = 0; i < count; ++i) made.push_back(static_cast<std::uint8_t>(i * step + 5));
    return made;
  };
  const auto codes = bytes(rows * rowBytes, 37);
  const auto points = bytes(rows * packedBytes, 91);
  std::vector<float> scales;
  std::vector<float> offsets;
  for (int i = 0; i < rows * blocks; ++i) {
    scales.push_back(static_cast<float>(i % 7 + 1) / 4);
    offsets.push_back(static_cast<float>(i % 5) - 1.5F);
  }
  const auto codeAt = [&](const std::vector<std::uint8_t>& from, int first, int index) {
    return bits == 8 ? from[static_cast<std::size_t>(first + index)]
                     : from[static_cast<std::size_t>(first + index / 2)] >> (index % 2 * 4) & 15;
  };
  void* out = gpu.empty(static_cast<std::size_t>(rows) * columns * sizeof(float));
  dequantize(gpu.kernels(), gpu.stream(),
             {.codes = gpu.put(codes),
              .scales = gpu.put(scales),
              .zeroPoints = packed     ? static_cast<const void*>(gpu.put(points))
                            : floating ? static_cast<const void*>(gpu.put(offsets))
                                       : nullptr,
              .out = out,
              .rows = rows,
              .columns = columns,
              .bits = bits,
              .block = block,
              .zeroPoint = 8,
              .packedZeroPoints = packed ? 1 : 0,
              .scaleType = ElementType::float32,
              .zeroPointType = ElementType::float32,
              .outType = ElementType::float32});
  const auto actual = gpu.take<float>(out, static_cast<std::size_t>(rows) * columns);
  bool right = true;
  for (int i = 0; i < rows; ++i)
    for (int k = 0; k < columns; ++k) {
      const int at = i * blocks + k / block;
      const float point = packed     ? static_cast<float>(codeAt(points, i * packedBytes, k / block))
                          : floating ? offsets[static_cast<std::size_t>(at)]
                                     : 8;
      const float expected =
          (static_cast<float>(codeAt(codes, i * rowBytes, k)) - point) * scales[static_cast<std::size_t>(at)];
      right = right && actual[static_cast<std::size_t>(i) * columns + k] == expected;
    }
  verdict(name, right);
  gpu.release();
}

void testBeginStep(Gpu& gpu, int rows) {
  const std::string name = text("begin_step", rows);
  if (!wanted(name)) return;
  std::vector<SlotState> states;
  std::vector<std::int32_t> slots;
  for (int i = 0; i < rows; ++i) {
    states.push_back({.token = 100 + i, .position = 7 * i, .remaining = 1, .running = i % 3 == 0 ? 0 : 1});
    slots.push_back(i % 5 == 4 ? -1 : rows - 1 - i);
  }
  const std::size_t bytes = static_cast<std::size_t>(rows + 1) * sizeof(std::int32_t);
  auto* tokens = static_cast<std::int32_t*>(gpu.empty(bytes));
  auto* positions = static_cast<std::int32_t*>(gpu.empty(bytes));
  auto* runStarts = static_cast<std::int32_t*>(gpu.empty(bytes));
  auto* runSlots = static_cast<std::int32_t*>(gpu.empty(bytes));
  beginStep(gpu.kernels(), gpu.stream(),
            {.slots = gpu.put(slots),
             .states = gpu.put(states),
             .tokens = tokens,
             .positions = positions,
             .runStarts = runStarts,
             .runSlots = runSlots,
             .rows = rows});
  const auto count = static_cast<std::size_t>(rows);
  const auto gotTokens = gpu.take<std::int32_t>(tokens, count);
  const auto gotPositions = gpu.take<std::int32_t>(positions, count);
  const auto gotStarts = gpu.take<std::int32_t>(runStarts, count + 1);
  const auto gotSlots = gpu.take<std::int32_t>(runSlots, count);
  bool right = gotStarts[count] == rows;
  for (std::size_t i = 0; i < count; ++i) {
    const int slot = slots[i];
    const bool runs = slot >= 0 && states[static_cast<std::size_t>(slot)].running != 0;
    right = right && gotStarts[i] == static_cast<int>(i) && gotSlots[i] == (runs ? slot : -1) &&
            gotTokens[i] == (runs ? 100 + slot : 0) && gotPositions[i] == (runs ? 7 * slot : 0);
  }
  verdict(name, right);
  gpu.release();
}

struct HeadShape {
  int heads;
  int kvHeads;
  int headSize;
};

template <typename Element>
void testAttentions(Gpu& gpu) {
  for (const HeadShape s : {HeadShape{9, 3, 64}, HeadShape{4, 4, 80}, HeadShape{6, 2, 96}, HeadShape{8, 2, 128},
                            HeadShape{2, 1, 256}, HeadShape{20, 1, 64}, HeadShape{1, 1, 128}}) {
    const AttentionCase base{s.heads, s.kvHeads, s.headSize, s.headSize, false, 0, 0, 1, {}};
    AttentionCase c = base;
    c.runs = {{1, 1},   {2, 1},  {15, 1},  {16, 1},  {17, 1},  {64, 1},  {65, 1},
              {128, 1}, {-1, 1}, {256, 1}, {257, 1}, {300, 1}, {1000, 1}};
    testAttention<Element>(gpu, c, "decode");
    c.splits = 5;
    testAttention<Element>(gpu, c, "decode");
    c.window = 70;
    c.softcap = 5;
    testAttention<Element>(gpu, c, "decode");
    c = base;
    c.runs = {{40, 40}, {1, 1}, {-1, 3}, {130, 5}, {200, 100}, {64, 64}};
    testAttention<Element>(gpu, c, "prefill");
    c.window = 33;
    c.softcap = 3;
    c.rotarySize = s.headSize / 2;
    c.interleaved = true;
    testAttention<Element>(gpu, c, "prefill");
  }
  AttentionCase c{8, 2, 128, 0, false, 0, 0, 16, {{8192, 1}, {8191, 1}, {4097, 1}, {63, 1}}};
  testAttention<Element>(gpu, c, "decode long");
  c.window = 4096;
  testAttention<Element>(gpu, c, "decode long");
}

// What is other where pages hold codes: reads of each size of heads, the row's own token, and scales.
template <typename Element>
void testCodedAttentions(Gpu& gpu, CacheType cache) {
  for (const HeadShape s : {HeadShape{6, 3, 64}, HeadShape{2, 2, 80}, HeadShape{3, 1, 96}, HeadShape{8, 2, 128},
                            HeadShape{2, 1, 256}, HeadShape{20, 1, 64}}) {
    AttentionCase c{s.heads, s.kvHeads, s.headSize, s.headSize, false, 0, 0, 1, {}, cache};
    c.runs = {{1, 1}, {2, 1}, {16, 1}, {17, 1}, {65, 1}, {-1, 1}, {300, 1}};
    testAttention<Element>(gpu, c, "decode");
    c.runs = {{15, 1}, {64, 1}, {257, 1}, {500, 1}};
    c.splits = 5;
    testAttention<Element>(gpu, c, "decode");
    c.window = 290;
    c.softcap = 5;
    testAttention<Element>(gpu, c, "decode");
    c.splits = 1;
    c.runs = {{40, 40}, {1, 1}, {-1, 3}, {130, 5}, {100, 60}};
    c.window = 33;
    testAttention<Element>(gpu, c, "prefill");
    c.window = 0;
    c.softcap = 0;
    c.rotarySize = s.headSize / 2;
    c.interleaved = true;
    testAttention<Element>(gpu, c, "prefill");
  }
}

template <typename Element>
void testTyped(Gpu& gpu) {
  for (const int width : {8, 64, 75, 576, 4096}) testEmbed<Element>(gpu, 7, width, 300);
  for (const bool skips : {false, true})
    for (const int width : {8, 63, 100, 576, 1000, 4096, 9216}) testRmsNorm<Element>(gpu, 5, width, skips);
  for (const Activation activation : {Activation::silu, Activation::geluTanh, Activation::geluErf})
    for (const int width : {8, 61, 1536, 2056}) testGatedActivation<Element>(gpu, 3, width, activation);
  for (const bool normed : {false, true}) {
    for (int rows = 1; rows <= 17; ++rows) {
      const bool even = rows % 2 == 0;
      testLinear<Element>(gpu, {rows, 576, 200, even, even, rows % 3 == 0, normed});
      testLinear<Element>(gpu, {rows, 576, 208, rows % 3 == 0, false, even, normed, rows % 3});
    }
    for (const int inner : {8, 24, 56, 72, 1000, 1536, 2048, 100, 61})
      for (const int rows : {1, 2, 3, 9, 33}) {
        testLinear<Element>(gpu, {rows, inner, 45, rows == 3, rows == 3, rows == 9, normed});
        testLinear<Element>(gpu, {rows, inner, 46, rows == 3, false, rows == 9, normed, 0});
      }
    testLinear<Element>(gpu, {2, 4096, 1024, true, true, false, normed});
    testLinear<Element>(gpu, {1, 4104, 514, true, false, false, normed, 2});
    testLinear<Element>(gpu, {1, 576, 4099, false, false, true, normed});
    // Where x is too long for the kernels for few rows.
    for (const int rows : {1, 2, 4}) {
      for (const int inner : {576, 1000, 4096}) {
        testLinear<Element>(gpu, {rows, inner, 301, true, true, true, normed}, 0);
        testLinear<Element>(gpu, {rows, inner, 302, true, false, false, normed, 0}, 0);
      }
    }
  }
  // Enough rows of the weight for tiles of 32 and 64 of them.
  for (const int tile : {32, 64}) {
    const int outer = divideUp(7 * gpu.kernels().multiprocessors(), 5) * tile - 3;
    for (const int rows : {5, 20, 64, 130}) {
      testLinear<Element>(gpu, {rows, 200, outer, true, true, rows % 2 == 0});
      testLinear<Element>(gpu, {rows, 136, outer - 1, rows == 5, false, false, true, 0});
    }
  }
  testLinear<Element>(gpu, {1, 14336, 130, false, true});
  testLinear<Element>(gpu, {4, 14336, 34, false, true});
  testLinearRows<Element>(gpu, false);
  testLinearRows<Element>(gpu, true);
  testAttentions<Element>(gpu);
  for (const CacheType cache : cacheTypes) {
    if (cache != CacheType::plain) testCodedAttentions<Element>(gpu, cache);
    testAttentionOfStep<Element>(gpu, cache);
  }
}

void testAll(Gpu& gpu) {
  testTyped<Half>(gpu);
  testTyped<Bfloat>(gpu);
  for (const int vocabulary : {50, 1000, 4097, 49155}) {
    for (const bool penalties : {false, true}) {
      const std::string with = penalties ? "with penalties" : "";
      const auto test = [&](const std::string& what, SlotSampling s, float spread = 3, bool ties = false) {
        if (penalties) {
          s.repetitionPenalty = 1.3F;
          s.presencePenalty = 0.5F;
          s.frequencyPenalty = 0.25F;
        }
        testSample(gpu, text(what, with), s, vocabulary, spread, penalties, ties);
      };
      test("greedy", sampling(0));
      test("greedy ties", sampling(0, 0, 1, 0, 5), 2, true);
      test("all", sampling(1));
      test("logprobs", sampling(0.8F, 0, 1, 0, 20));
      test("top-k", sampling(0.9F, 40));
      test("top-k one", sampling(0.9F, 1));
      test("top-k some", sampling(1.1F, 300));
      test("top-k more than there are", sampling(0.9F, 1 << 20, 0.8F));
      test("top-k many", sampling(0.9F, 3000, 1, 0.001F));
      test("top-p", sampling(0.9F, 0, 0.9F));
      test("top-p nothing", sampling(0.9F, 0, 0));
      test("top-p flat", sampling(3, 0, 0.95F), 0.5F);
      test("min-p", sampling(1.2F, 0, 1, 0.05F));
      test("top-p min-p", sampling(0.7F, 0, 0.8F, 0.1F));
      test("all of them", sampling(0.8F, 100, 0.95F, 0.02F, 3));
      test("ties", sampling(1, 30, 0.9F, 0, 20), 0.6F, true);
      test("cold", sampling(0.01F, 0, 0.99F));
    }
  }
  testSampleProblems(gpu);
  for (const bool transposed : {false, true}) {
    testConvert(gpu, 1, 1, transposed);
    testConvert(gpu, 33, 70, transposed);
    testConvert(gpu, 576, 1536, transposed);
  }
  for (const char* zeroPoints : {"none", "packed", "floating"}) {
    testDequantize(gpu, 3, 64, 4, 32, zeroPoints);
    testDequantize(gpu, 65, 100, 4, 32, zeroPoints);
    testDequantize(gpu, 33, 160, 8, 32, zeroPoints);
  }
  for (const int rows : {1, 16, 17, 100}) testBeginStep(gpu, rows);
  testGptq(gpu);
  testQuantized(gpu);
}

struct LinearShape {
  int inner;
  int outer;
  bool normed;
  bool gated;
};

void benchLinear(Gpu& gpu, const LinearShape& s) {
  if (!wanted("linear")) return;
  const double bytes = 2.0 * s.inner * s.outer;
  const int copies = copiesOf(bytes);
  auto* weights = static_cast<char*>(zeros(gpu, static_cast<std::size_t>(bytes) * copies));
  for (const int rows : {1, 2, 3, 4, 8, 16, 32, 64}) {
    LinearParameters p{};
    p.x = zeros(gpu, static_cast<std::size_t>(rows) * s.inner * 2);
    p.y = gpu.empty(static_cast<std::size_t>(rows) * s.outer * 4);
    p.rows = rows;
    p.inner = s.inner;
    p.outer = s.outer;
    p.normWeight = s.normed ? zeros(gpu, s.inner * 2) : nullptr;
    p.workspace = gpu.empty(linearWorkspaceBytes(rows, s.inner, s.normed));
    p.gated = s.gated ? 1 : 0;
    const auto measure = [&](const char* how, int fewRows) {
      const double us = microseconds(gpu, 2 * copies, [&](int i) {
        p.weight = weights + static_cast<std::size_t>(bytes) * (i % copies);
        linear(gpu.kernels(), gpu.stream(), ElementType::float16, p, fewRows);
      });
      report("linear", text(s.outer) + "x" + text(s.inner) + how, rows, us, bytes, bytes * rows);
    };
    measure("", linearFewRows);
    if (rows <= linearFewRows) measure(" tiles", 0);
  }
  gpu.release();
}

// Attention of `rows` rows over `tokens` tokens each, or with `isPrefill` of the last rows of one sequence; without the
// addresses of the cache.
AttentionParameters attentionOf(Gpu& gpu, int heads, int kvHeads, int headSize, int rows, int tokens, bool isPrefill) {
  const int runs = isPrefill ? 1 : rows;
  const int pagesPerSlot = (tokens + 63) / 64;
  const int splits = isPrefill ? 1 : attentionSplits(gpu.kernels(), rows, heads, kvHeads, headSize, tokens);
  std::vector<std::int32_t> pages(static_cast<std::size_t>(runs) * pagesPerSlot);
  for (std::size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<int>(i);
  std::vector<std::int32_t> starts;
  std::vector<std::int32_t> slots;
  std::vector<std::int32_t> positions;
  for (int run = 0; run <= runs; ++run) starts.push_back(isPrefill ? run * rows : run);
  for (int run = 0; run < runs; ++run) slots.push_back(run);
  for (int row = 0; row < rows; ++row) positions.push_back(isPrefill ? tokens - rows + row : tokens - 1);
  AttentionParameters p{};
  p.qkv = zeros(gpu, static_cast<std::size_t>(rows) * (heads + 2 * kvHeads) * headSize * 2);
  p.out = gpu.empty(static_cast<std::size_t>(rows) * heads * headSize * 2);
  p.cos = gpu.put(std::vector<float>(static_cast<std::size_t>(tokens) * headSize / 2, 1));
  p.sin = p.cos;
  p.pages = gpu.put(pages);
  p.runStarts = gpu.put(starts);
  p.runSlots = gpu.put(slots);
  p.positions = gpu.put(positions);
  p.workspace = gpu.empty(attentionWorkspaceBytes(rows, heads, headSize, splits));
  p.rows = rows;
  p.runs = runs;
  p.heads = heads;
  p.kvHeads = kvHeads;
  p.headSize = headSize;
  p.rotarySize = headSize;
  p.pagesPerSlot = pagesPerSlot;
  p.pageSize = 64;
  p.decode = isPrefill ? 0 : 1;
  p.splits = splits;
  p.arrivals = gpu.arrivals();
  p.scale = 0.1F;
  return p;
}

// Bytes of the keys of all runs, or the values.
std::size_t poolBytes(const AttentionParameters& p) {
  return static_cast<std::size_t>(p.runs) * p.pagesPerSlot *
         cachePageBytes(p.cacheType, p.kvHeads, p.pageSize, p.headSize);
}

// Pools of keys and values, as many as there are to be caches.
std::vector<std::int64_t*> cachesOf(Gpu& gpu, const AttentionParameters& p, int count) {
  std::vector<std::int64_t*> caches;
  for (int i = 0; i < count; ++i) {
    std::vector<std::int64_t> addresses;
    for (int which = 0; which < 2; ++which)
      addresses.push_back(reinterpret_cast<std::int64_t>(zeros(gpu, poolBytes(p))));
    caches.push_back(gpu.put(addresses));
  }
  return caches;
}

void benchAttention(Gpu& gpu, int heads, int kvHeads, int headSize, int rows, int tokens, bool isPrefill,
                    CacheType cache) {
  if (!wanted("attention")) return;
  AttentionParameters p = attentionOf(gpu, heads, kvHeads, headSize, rows, tokens, isPrefill);
  p.cacheType = cache;
  const double bytes = 2.0 * static_cast<double>(poolBytes(p));
  const int copies = copiesOf(bytes);
  const auto caches = cachesOf(gpu, p, copies);
  const double us = microseconds(gpu, 2 * copies, [&](int i) {
    p.cache = caches[i % copies];
    attention(gpu.kernels(), gpu.stream(), ElementType::float16, p);
  });
  const double seen = isPrefill ? rows * (tokens - rows / 2.0) : static_cast<double>(rows) * tokens;
  report(std::string(isPrefill ? "attention_prefill" : "attention_decode") + suffixOf(cache),
         text(heads) + "/" + text(kvHeads) + "x" + text(headSize) + " of " + text(tokens) + " in " + text(p.splits),
         rows, us, bytes, 4.0 * seen * heads * headSize);
  gpu.release();
}

// Steps of a whole decoder.
struct Decoder {
  const char* name;
  int layers;
  int width;
  int heads;
  int kvHeads;
  int headSize;
  int inner;
  int vocabulary;
};

// Kernels of a step.
enum Part : unsigned {
  qkvPart = 1,
  attentionPart = 2,
  outputPart = 4,
  gatePart = 8,
  downPart = 16,
  headPart = 32,
  choicePart = 64,
  everyPart = 127
};

class Steps {
 public:
  static constexpr int tokens = 128;
  // As of linear().
  int fewRows = linearFewRows;

  // With a format, of packed weights.
  Steps(Gpu& gpu, const Decoder& decoder, int rows, std::optional<QuantizedFormat> format = {})
      : gpu_(gpu),
        d_(decoder),
        rows_(rows),
        format_(format),
        attention_(attentionOf(gpu, d_.heads, d_.kvHeads, d_.headSize, rows, tokens, false)),
        // More than the cache holds, of layers that are the same but for their places.
        layers_(std::min<int>(d_.layers, static_cast<int>(4e9 / layerBytes()) + 1)),
        weights_(static_cast<char*>(zeros(gpu, layerBytes() * layers_))),
        table_(zeros(gpu, size(d_.vocabulary, d_.width))),
        head_(zeros(gpu, weightBytes(d_.vocabulary, d_.width, false))),
        norm_(zeros(gpu, size(1, d_.width))),
        hidden_{zeros(gpu, size(rows, d_.width)), zeros(gpu, size(rows, d_.width))},
        gated_(zeros(gpu, size(rows, d_.inner))),
        gateUp_(zeros(gpu, size(rows, 2 * d_.inner))),
        workspace_(zeros(gpu, workspaceBytes())),
        caches_(cachesOf(gpu, attention_, d_.layers)),
        qkv_(zeros(gpu, size(rows, (d_.heads + 2 * d_.kvHeads) * d_.headSize))) {
    std::vector<std::int32_t> slots;
    for (int row = 0; row < rows; ++row) slots.push_back(row);
    sample_.logits = static_cast<float*>(zeros(gpu, 2 * size(rows, d_.vocabulary)));
    sample_.slots = gpu.put(slots);
    sample_.sampling = gpu.put(std::vector<SlotSampling>(rows, sampling(0)));
    sample_.states = gpu.put(std::vector<SlotState>(rows, {0, tokens - 1, 1 << 30, 1}));
    sample_.records = static_cast<TokenRecord*>(gpu.empty(rows * sizeof(TokenRecord)));
    sample_.workspace = gpu.empty(sampleWorkspaceBytes(rows, d_.vocabulary));
    sample_.rows = rows;
    sample_.vocabulary = d_.vocabulary;
    begin_ = {sample_.slots,
              sample_.states,
              static_cast<std::int32_t*>(gpu.empty(4 * rows)),
              static_cast<std::int32_t*>(gpu.empty(4 * rows)),
              static_cast<std::int32_t*>(gpu.empty(4 * (rows + 1))),
              static_cast<std::int32_t*>(gpu.empty(4 * rows)),
              rows};
  }

  double bytes() const {
    return static_cast<double>(layerBytes()) * d_.layers +
           static_cast<double>(weightBytes(d_.vocabulary, d_.width, false));
  }

  // Microseconds.
  double measure(unsigned parts, bool fused) {
    return microseconds(gpu_, 1, [&](int) { step(parts, fused); });
  }

 private:
  static std::size_t size(int rows, int columns) { return static_cast<std::size_t>(rows) * columns * 2; }
  int qkvWidth() const { return (d_.heads + 2 * d_.kvHeads) * d_.headSize; }
  std::size_t weightBytes(int outer, int inner, bool gated) const {
    if (!format_) return size(outer, inner);
    QuantizedFormat format = *format_;
    format.gated = gated ? 1 : 0;
    return quantizedBytes(format, outer, inner);
  }
  // Of all products, and of what is normalised by itself.
  std::size_t workspaceBytes() const {
    const std::size_t plain = size(rows_, std::max(d_.width, d_.inner));
    if (!format_) return plain;
    return std::max({plain, quantizedWorkspaceBytes(rows_, d_.width, d_.vocabulary, true),
                     quantizedWorkspaceBytes(rows_, d_.width, 2 * d_.inner, true),
                     quantizedWorkspaceBytes(rows_, d_.width, qkvWidth(), true),
                     quantizedWorkspaceBytes(rows_, d_.inner, d_.width, false)});
  }
  std::size_t layerBytes() const {
    return weightBytes(qkvWidth(), d_.width, false) + weightBytes(d_.width, d_.heads * d_.headSize, false) +
           weightBytes(2 * d_.inner, d_.width, true) + weightBytes(d_.width, d_.inner, false);
  }

  void product(const void* x, char*& weight, void* y, int inner, int outer, const void* residual, bool normed,
               bool gated, ElementType out = ElementType::float16) {
    LinearParameters p{};
    p.x = x;
    p.weight = weight;
    p.residual = residual;
    p.y = y;
    p.rows = rows_;
    p.inner = inner;
    p.outer = outer;
    p.outputType = out;
    p.normWeight = normed ? norm_ : nullptr;
    p.workspace = workspace_;
    p.epsilon = 1e-5F;
    p.gated = gated ? 1 : 0;
    if (format_) {
      QuantizedFormat format = *format_;
      format.gated = p.gated;
      p.arrivals = gpu_.arrivals();
      quantizedLinear(gpu_.kernels(), gpu_.stream(), ElementType::float16, p, format);
    } else {
      linear(gpu_.kernels(), gpu_.stream(), ElementType::float16, p, fewRows);
    }
    weight += weightBytes(outer, inner, gated);
  }
  void normed(const void* x, char*& weight, void* y, int outer, bool gated, bool fused,
              ElementType out = ElementType::float16) {
    if (fused) {
      product(x, weight, y, d_.width, outer, nullptr, true, gated, out);
      return;
    }
    rmsNorm(gpu_.kernels(), gpu_.stream(), ElementType::float16,
            {x, nullptr, norm_, workspace_, nullptr, rows_, d_.width, 1e-5F});
    product(workspace_, weight, gated ? gateUp_ : y, d_.width, outer, nullptr, false, false, out);
    if (!gated) return;
    gatedActivation(gpu_.kernels(), gpu_.stream(), ElementType::float16,
                    {gateUp_, y, rows_, outer / 2, Activation::silu});
  }

  void step(unsigned parts, bool fused) {
    if ((parts & choicePart) != 0) beginStep(gpu_.kernels(), gpu_.stream(), begin_);
    embed(gpu_.kernels(), gpu_.stream(), ElementType::float16,
          {begin_.tokens, table_, hidden_[0], rows_, d_.width, d_.vocabulary});
    for (int layer = 0; layer < d_.layers; ++layer) {
      char* weight = weights_ + layerBytes() * (layer % layers_);
      if ((parts & qkvPart) != 0) normed(hidden_[0], weight, qkv_, qkvWidth(), false, fused);
      attention_.qkv = qkv_;
      attention_.cache = caches_[layer];
      if ((parts & attentionPart) != 0) attention(gpu_.kernels(), gpu_.stream(), ElementType::float16, attention_);
      if ((parts & outputPart) != 0)
        product(attention_.out, weight, hidden_[1], d_.heads * d_.headSize, d_.width, hidden_[0], false, false);
      if ((parts & gatePart) != 0) normed(hidden_[1], weight, gated_, 2 * d_.inner, true, fused);
      if ((parts & downPart) != 0) product(gated_, weight, hidden_[0], d_.inner, d_.width, hidden_[1], false, false);
    }
    char* head = static_cast<char*>(head_);
    if ((parts & headPart) != 0)
      normed(hidden_[0], head, const_cast<float*>(sample_.logits), d_.vocabulary, false, fused, ElementType::float32);
    if ((parts & choicePart) != 0) sample(gpu_.kernels(), gpu_.stream(), sample_);
  }

  Gpu& gpu_;
  const Decoder d_;
  const int rows_;
  const std::optional<QuantizedFormat> format_;
  AttentionParameters attention_;
  const int layers_;
  char* const weights_;
  void* const table_;
  void* const head_;
  void* const norm_;
  void* const hidden_[2];
  void* const gated_;
  void* const gateUp_;
  void* const workspace_;
  const std::vector<std::int64_t*> caches_;
  void* const qkv_;
  SampleParameters sample_{};
  BeginStepParameters begin_{};
};

void reportStep(const Decoder& decoder, const std::string& how, int rows, double us, double bytes) {
  std::printf("{\"step\":\"%s\",\"how\":\"%s\",\"rows\":%d,\"us\":%.1f,\"tok_s\":%.0f,\"gb_s\":%.0f}\n", decoder.name,
              how.c_str(), rows, us, 1e6 * rows / us, bytes / us / 1e3);
  std::fflush(stdout);
}

void reportParts(const Decoder& decoder, const std::string& how, int rows, Steps& steps, double all) {
  for (const auto& [name, part] : {std::pair{"qkv", qkvPart},
                                   {"attention", attentionPart},
                                   {"output", outputPart},
                                   {"gate_up", gatePart},
                                   {"down", downPart},
                                   {"head", headPart},
                                   {"begin and sample", choicePart}})
    reportStep(decoder, how + ": " + name, rows, all - steps.measure(everyPart & ~part, true), 0);
}

void benchSteps(Gpu& gpu, const Decoder& decoder) {
  if (!wanted("steps")) return;
  for (const int rows : {1, 2, 4, 8, 16, 32, 64}) {
    Steps steps(gpu, decoder, rows);
    const double all = steps.measure(everyPart, true);
    reportStep(decoder, "fused", rows, all, steps.bytes());
    reportStep(decoder, "apart", rows, steps.measure(everyPart, false), steps.bytes());
    if (rows == 1) reportParts(decoder, "what it costs", rows, steps, all);
    if (rows <= linearFewRows) {
      steps.fewRows = 0;
      reportStep(decoder, "tiles", rows, steps.measure(everyPart, true), steps.bytes());
    }
    gpu.release();
  }
}

void benchQuantizedSteps(Gpu& gpu, const Decoder& decoder, const QuantizedFormat& format, const std::string& name) {
  if (!wanted("quantized steps " + name)) return;
  for (const int rows : {1, 2, 4, 8, 16, 32, 64}) {
    Steps steps(gpu, decoder, rows, format);
    const double all = steps.measure(everyPart, true);
    reportStep(decoder, name, rows, all, steps.bytes());
    if (rows == 1 || rows == 32) reportParts(decoder, name, rows, steps, all);
    gpu.release();
  }
}

void benchRows(Gpu& gpu, int width, int inner, int rows) {
  void* a = gpu.empty(static_cast<std::size_t>(rows) * inner * 4);
  void* b = gpu.empty(static_cast<std::size_t>(rows) * inner * 4);
  void* c = gpu.empty(static_cast<std::size_t>(rows) * inner * 4);
  report("rms_norm", text(width), rows,
         microseconds(gpu, 100,
                      [&](int) {
                        rmsNorm(gpu.kernels(), gpu.stream(), ElementType::float16, {a, b, c, c, b, rows, width, 1e-5F});
                      }),
         8.0 * rows * width, 0);
  report(
      "gated_activation", text(inner), rows,
      microseconds(
          gpu, 100,
          [&](int) {
            gatedActivation(gpu.kernels(), gpu.stream(), ElementType::float16, {a, b, rows, inner, Activation::silu});
          }),
      6.0 * rows * inner, 0);
  gpu.release();
}

void benchSample(Gpu& gpu, const std::string& what, const SlotSampling& s, int rows, int vocabulary) {
  if (!wanted("sample")) return;
  std::vector<std::int32_t> slots;
  for (int row = 0; row < rows; ++row) slots.push_back(row);
  SampleParameters p{};
  p.logits = gpu.put(normal(static_cast<std::size_t>(rows) * vocabulary, 3));
  p.slots = gpu.put(slots);
  p.sampling = gpu.put(std::vector<SlotSampling>(rows, s));
  p.states = gpu.put(std::vector<SlotState>(rows, {0, 1, 1 << 30, 1}));
  p.records = static_cast<TokenRecord*>(gpu.empty(rows * sizeof(TokenRecord)));
  p.workspace = gpu.empty(sampleWorkspaceBytes(rows, vocabulary));
  p.rows = rows;
  p.vocabulary = vocabulary;
  report("sample", what + " " + text(vocabulary), rows,
         microseconds(gpu, 100, [&](int) { sample(gpu.kernels(), gpu.stream(), p); }), 4.0 * rows * vocabulary, 0);
  gpu.release();
}

void benchAll(Gpu& gpu) {
  const std::vector<LinearShape> shapes{
      {4096, 6144, true, false},  {4096, 4096, false, false}, {4096, 28672, true, true}, {14336, 4096, false, false},
      {4096, 49152, true, false}, {576, 960, true, false},    {576, 576, false, false},  {576, 3072, true, true},
      {1536, 576, false, false},  {576, 49152, true, false}};
  benchSteps(gpu, {"8B", 32, 4096, 32, 8, 128, 14336, 49152});
  benchSteps(gpu, {"135M", 30, 576, 9, 3, 64, 1536, 49152});
  for (const auto& [name, format] : {std::pair{"uint4", QuantizedFormat{CodeType::uint4, Offsets::middle, 32, 0}},
                                     {"uint4 floating", QuantizedFormat{CodeType::uint4, Offsets::floating, 32, 0}},
                                     {"uint8", QuantizedFormat{CodeType::uint8, Offsets::middle, 32, 0}},
                                     {"uint8 rows", QuantizedFormat{CodeType::uint8, Offsets::middle, 0, 0}}}) {
    benchQuantizedSteps(gpu, {"8B", 32, 4096, 32, 8, 128, 14336, 128256}, format, name);
    benchQuantizedSteps(gpu, {"135M", 30, 576, 9, 3, 64, 1536, 49152}, format, name);
  }
  for (const LinearShape& shape : shapes) benchLinear(gpu, shape);
  benchQuantized(gpu);
  for (const int rows : {1, 8, 16, 32, 128})
    for (const int tokens : {128, 512, 1024, 2048, 8192}) {
      for (const CacheType cache : cacheTypes) {
        benchAttention(gpu, 32, 8, 128, rows, tokens, false, cache);
        benchAttention(gpu, 9, 3, 64, rows, tokens, false, cache);
      }
    }
  for (const int rows : {512, 2048})
    for (const int tokens : {rows, 8192}) {
      for (const CacheType cache : cacheTypes) {
        benchAttention(gpu, 32, 8, 128, rows, tokens, true, cache);
        benchAttention(gpu, 9, 3, 64, rows, tokens, true, cache);
      }
    }
  for (const int rows : {1, 16, 2048}) {
    benchRows(gpu, 4096, 14336, rows);
    benchRows(gpu, 576, 1536, rows);
  }
  for (const int rows : {1, 8, 32, 128})
    for (const int vocabulary : {49152, 128256}) {
      benchSample(gpu, "greedy", sampling(0), rows, vocabulary);
      benchSample(gpu, "all", sampling(0.8F), rows, vocabulary);
      benchSample(gpu, "top-p", sampling(0.8F, 0, 0.9F), rows, vocabulary);
      benchSample(gpu, "top-p flat", sampling(6, 0, 0.95F), rows, vocabulary);
      benchSample(gpu, "top-k", sampling(0.8F, 40), rows, vocabulary);
      benchSample(gpu, "min-p", sampling(0.8F, 0, 1, 0.05F), rows, vocabulary);
      benchSample(gpu, "all of them", sampling(0.8F, 50, 0.9F, 0.05F), rows, vocabulary);
      benchSample(gpu, "logprobs", sampling(0, 0, 1, 0, 20), rows, vocabulary);
    }
}

}  // namespace

int main(int count, char** arguments) {
  bool bench = false;
  for (int i = 1; i < count; ++i) {
    if (std::string(arguments[i]) == "--bench")
      bench = true;
    else if (std::string(arguments[i]) == "--part" && i + 1 < count)
      std::sscanf(arguments[++i], "%d/%d", &part, &parts);
    else
      filter = arguments[i];
  }
  const auto outcome = cuda::load();
  if (!outcome.ready()) {
    std::printf("FAIL %s (%s)\n", outcome.problem.c_str(), outcome.hint.c_str());
    return 1;
  }
  try {
    Gpu gpu;
    bench ? benchAll(gpu) : testAll(gpu);
  } catch (const std::exception& error) {
    verdict("the program", false, error.what());
  }
  if (!bench) std::printf("%d failed\n", failures);
  return failures == 0 ? 0 : 1;
}
