// Chunks of rows, each from its first column to its last by one thread: rows know nothing of one another.
#include "gptq.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "matrix.h"
#include "product.h"
#include "round_to_nearest.h"
#include "scale.h"

namespace tensorrt_node::quantize {
namespace {

// Columns whose errors reach one another directly; those before come in by a product.
constexpr std::int64_t kPanel = 128;

class Chunk {
 public:
  Chunk(const GptqWeights& weights, std::span<const float> factor, std::span<const std::int32_t> order,
        const Format& format, std::span<const float> cost)
      : weights_(weights),
        factor_(factor.data()),
        order_(order),
        format_(format),
        cost_(cost),
        block_(format.blockOf(weights.inner)),
        chooser_(format) {}

  // Of rows [first, first + count).
  void round(std::int64_t first, std::int64_t count, const QuantizedRows& rows) {
    const std::int64_t inner = weights_.inner;
    const std::int64_t blocks = format_.blocks(inner);
    errors_.assign(static_cast<std::size_t>(count * inner), 0);
    codes_.assign(static_cast<std::size_t>(count * inner), 0);
    scales_.assign(static_cast<std::size_t>(count * blocks), {});
    if (!blockByBlock()) chooseAll(first, count);
    std::vector<float> carried;
    for (std::int64_t from = 0; from < inner; from += kPanel) {
      const std::int64_t width = std::min(kPanel, inner - from);
      carried.assign(static_cast<std::size_t>(count * width), 0);
      multiplier_.addProduct(carried.data(), width, {errors_.data(), inner, 1}, {factor_ + from, inner, 1}, count,
                             width, from, 1);
      for (std::int64_t row = 0; row < count; ++row) roundPanel(first, row, from, width, carried.data() + row * width);
    }
    for (std::int64_t row = 0; row < count; ++row) {
      float* const values = weights_.values.data() + (first + row) * inner;
      const std::span<const std::uint8_t> codes(codes_.data() + row * inner, static_cast<std::size_t>(inner));
      const std::span<const Scale> scales(scales_.data() + row * blocks, static_cast<std::size_t>(blocks));
      for (std::int64_t column = 0; column < inner; ++column)
        values[column] = valueOf(format_, scales[static_cast<std::size_t>(column / block_)],
                                 codes[static_cast<std::size_t>(column)]);
      packRow(format_, codes, scales, first + row, rows);
    }
  }

 private:
  // Scales of whole rows, and of blocks whose columns are far from one another, are chosen beforehand.
  bool blockByBlock() const noexcept { return order_.empty() && !format_.wholeRows() && block_ <= kPanel; }

  std::int64_t columnAt(std::int64_t place) const noexcept {
    return order_.empty() ? place : order_[static_cast<std::size_t>(place)];
  }

  void chooseAll(std::int64_t first, std::int64_t count) {
    const std::int64_t inner = weights_.inner;
    const std::int64_t blocks = format_.blocks(inner);
    // In the order of the columns.
    std::vector<float> cost(cost_.size());
    for (std::int64_t place = 0; place < inner; ++place)
      cost[static_cast<std::size_t>(columnAt(place))] = cost_[static_cast<std::size_t>(place)];
    for (std::int64_t row = 0; row < count; ++row) {
      for (std::int64_t block = 0; block < blocks; ++block) {
        const std::int64_t from = block * block_;
        const auto length = static_cast<std::size_t>(std::min(block_, inner - from));
        const std::span<const float> values(weights_.values.data() + (first + row) * inner + from, length);
        choose(first + row, scales_[static_cast<std::size_t>(row * blocks + block)], values,
               std::span(cost).subspan(static_cast<std::size_t>(from), length));
      }
    }
  }

  void choose(std::int64_t row, Scale& scale, std::span<const float> values, std::span<const float> importance) {
    try {
      scale = chooser_.choose(values, importance);
    } catch (const std::domain_error& error) {
      throw std::domain_error("row " + std::to_string(row) + " " + error.what());
    }
  }

  // `carried` is the sum over earlier panels of V[j, i] times the error of j; those of this panel are added to it.
  void roundPanel(std::int64_t first, std::int64_t row, std::int64_t from, std::int64_t width, float* carried) {
    const std::int64_t inner = weights_.inner;
    const float* const values = weights_.values.data() + (first + row) * inner;
    float* const errors = errors_.data() + row * inner;
    std::uint8_t* const codes = codes_.data() + row * inner;
    Scale* const scales = scales_.data() + row * format_.blocks(inner);
    for (std::int64_t at = 0; at < width; ++at) {
      const std::int64_t place = from + at;
      const std::int64_t column = columnAt(place);
      if (blockByBlock() && column % block_ == 0)
        chooseBlock(first + row, values, column, from, width, carried, scales);
      const float* const line = factor_ + place * inner + from;
      const float wanted = values[column] + carried[at] / line[at];
      const Scale& scale = scales[column / block_];
      const std::uint8_t code = nearestCode(format_, scale, wanted);
      codes[column] = code;
      const float error = values[column] - valueOf(format_, scale, code);
      errors[place] = error;
      for (std::int64_t later = at + 1; later < width; ++later) carried[later] += line[later] * error;
    }
  }

  // For the weights that would be best if the block's own were not rounded.
  void chooseBlock(std::int64_t row, const float* values, std::int64_t column, std::int64_t from, std::int64_t width,
                   const float* carried, Scale* scales) {
    const std::int64_t at = column - from;
    const std::int64_t length = std::min(block_, width - at);
    sums_.assign(carried + at, carried + at + length);
    wanted_.resize(static_cast<std::size_t>(length));
    for (std::int64_t each = 0; each < length; ++each) {
      const float* const line = factor_ + (column + each) * weights_.inner + column;
      const float shift = sums_[static_cast<std::size_t>(each)] / line[each];
      wanted_[static_cast<std::size_t>(each)] = values[column + each] + shift;
      for (std::int64_t later = each + 1; later < length; ++later)
        sums_[static_cast<std::size_t>(later)] -= line[later] * shift;
    }
    choose(row, scales[column / block_], wanted_,
           cost_.subspan(static_cast<std::size_t>(column), static_cast<std::size_t>(length)));
  }

  const GptqWeights& weights_;
  const float* factor_;
  std::span<const std::int32_t> order_;
  Format format_;
  std::span<const float> cost_;
  std::int64_t block_;
  ScaleChooser chooser_;
  Multiplier multiplier_;
  std::vector<float> errors_;
  std::vector<std::uint8_t> codes_;
  std::vector<Scale> scales_;
  std::vector<float> sums_;
  std::vector<float> wanted_;
};

}  // namespace

void gptq(const GptqWeights& weights, std::span<const float> factor, std::span<const std::int32_t> order,
          const Format& format, const QuantizedRows& rows, const Threads& threads) {
  const std::int64_t inner = weights.inner;
  checkRows(format, weights.outer, inner, rows);
  const auto elements = [](std::int64_t a, std::int64_t b) {
    return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
  };
  if (weights.values.size() != elements(weights.outer, inner) || factor.size() != elements(inner, inner) ||
      (!order.empty() && order.size() != static_cast<std::size_t>(inner)))
    throw std::invalid_argument("weights, factor and order have sizes that do not fit one another");
  std::vector<float> cost(static_cast<std::size_t>(inner));
  for (std::int64_t each = 0; each < inner; ++each) {
    const float diagonal = factor[static_cast<std::size_t>(each * inner + each)];
    cost[static_cast<std::size_t>(each)] = diagonal * diagonal;
  }
  parallelFor(threads, (weights.outer + kRowsAtATime - 1) / kRowsAtATime, [&](std::int64_t chunk) {
    const std::int64_t first = chunk * kRowsAtATime;
    Chunk(weights, factor, order, format, cost).round(first, std::min(kRowsAtATime, weights.outer - first), rows);
  });
}

}  // namespace tensorrt_node::quantize
