// Rounding to nearest, and how rows of codes are packed.
#include "round_to_nearest.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "scale.h"

namespace tensorrt_node::quantize {
namespace {

void require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

std::size_t rowAt(std::int64_t row, std::size_t bytes) {
  return static_cast<std::size_t>(row) * bytes;
}

}  // namespace

void checkRows(const Format& format, std::int64_t outer, std::int64_t inner, const QuantizedRows& rows) {
  require(format.bits == 8 || (format.bits == 4 && !format.wholeRows()), "codes have 4 or 8 bits, of whole rows 8");
  require(format.wholeRows() || (format.block >= 16 && format.block <= 256 && (format.block & (format.block - 1)) == 0),
          "a block is a power of two from 16 to 256");
  require(format.scales != FloatType::bfloat16, "scales are float16 or float32");
  require(outer >= 0 && inner > 0, "a matrix needs elements");
  require(rows.codes.size() == rowAt(outer, format.codeBytes(inner)) &&
              rows.scales.size() == rowAt(outer, format.scaleBytes(inner)) &&
              rows.zeroPoints.size() == rowAt(outer, format.zeroPointBytes(inner)),
          "the room for codes, scales or zero points has not the size that the format needs");
}

void packRow(const Format& format, std::span<const std::uint8_t> codes, std::span<const Scale> scales, std::int64_t row,
             const QuantizedRows& rows) {
  const auto inner = static_cast<std::int64_t>(codes.size());
  std::byte* const to = rows.codes.data() + rowAt(row, format.codeBytes(inner));
  if (format.bits == 8) {
    std::memcpy(to, codes.data(), codes.size());
    // The rest of a row's last block counts nothing: it stands for zero.
    for (std::size_t at = codes.size(); at < format.codeBytes(inner); ++at)
      to[at] = static_cast<std::byte>(scales.back().zero);
  } else {
    const auto code = [&](std::size_t at) {
      return at < codes.size() ? std::uint32_t{codes[at]} : static_cast<std::uint32_t>(scales.back().zero);
    };
    for (std::size_t at = 0; at < format.codeBytes(inner); ++at)
      to[at] = static_cast<std::byte>(code(2 * at) | code(2 * at + 1) << 4);
  }
  std::byte* const scalesTo = rows.scales.data() + rowAt(row, format.scaleBytes(inner));
  for (std::size_t block = 0; block < scales.size(); ++block) {
    if (format.scales == FloatType::float32) {
      std::memcpy(scalesTo + 4 * block, &scales[block].value, 4);
    } else {
      const std::uint16_t half = toHalf(scales[block].value);
      std::memcpy(scalesTo + 2 * block, &half, 2);
    }
  }
  if (format.kind != CodeKind::zeroPoints) return;
  std::byte* const zerosTo = rows.zeroPoints.data() + rowAt(row, format.zeroPointBytes(inner));
  std::memset(zerosTo, 0, format.zeroPointBytes(inner));
  for (std::size_t block = 0; block < scales.size(); ++block) {
    const std::size_t bit = block * static_cast<std::size_t>(format.bits);
    zerosTo[bit / 8] |= static_cast<std::byte>(scales[block].zero << (bit % 8));
  }
}

void readRows(const QuantizedRows& rows, const Format& format, std::int64_t outer, std::int64_t inner,
              std::span<float> values, const Threads& threads) {
  checkRows(format, outer, inner, rows);
  if (!format.wholeRows()) {
    using ZeroPoints = BlockMatrix::ZeroPoints;
    const BlockMatrix matrix{
        .codes = rows.codes,
        .scales = rows.scales,
        .scaleType = format.scales,
        .zeroPointKind = format.kind == CodeKind::zeroPoints ? ZeroPoints::codes : ZeroPoints::none,
        .zeroPoints = rows.zeroPoints,
        .outer = outer,
        .inner = inner,
        .bits = format.bits,
        .block = format.block,
    };
    return toFloats(matrix, values, threads);
  }
  require(values.size() == rowAt(outer, static_cast<std::size_t>(inner)), "the floats of a matrix have another shape");
  parallelFor(threads, outer, [&](std::int64_t row) {
    Scale scale;
    std::uint16_t half = 0;
    const std::byte* const from = rows.scales.data() + rowAt(row, format.scaleBytes(inner));
    if (format.scales == FloatType::float32) {
      std::memcpy(&scale.value, from, sizeof(scale.value));
    } else {
      std::memcpy(&half, from, sizeof(half));
      scale.value = fromHalf(half);
    }
    const std::byte* const codes = rows.codes.data() + rowAt(row, format.codeBytes(inner));
    for (std::int64_t column = 0; column < inner; ++column)
      values[static_cast<std::size_t>(row * inner + column)] =
          valueOf(format, scale, std::to_integer<std::uint8_t>(codes[column]));
  });
}

void roundToNearest(const DenseMatrix& matrix, const Format& format, std::span<const float> importance,
                    const QuantizedRows& rows, const Threads& threads) {
  checkSize(matrix);
  checkRows(format, matrix.outer, matrix.inner, rows);
  const std::int64_t inner = matrix.inner;
  require(importance.empty() || importance.size() == static_cast<std::size_t>(inner),
          "importance is a number for each column");
  const std::int64_t block = format.blockOf(inner);
  const std::int64_t blocks = format.blocks(inner);
  parallelFor(threads, (matrix.outer + kRowsAtATime - 1) / kRowsAtATime, [&](std::int64_t chunk) {
    const std::int64_t first = chunk * kRowsAtATime;
    const std::int64_t count = std::min(kRowsAtATime, matrix.outer - first);
    std::vector<float> values(static_cast<std::size_t>(count * inner));
    readRows(matrix, first, count, values.data());
    ScaleChooser chooser(format);
    std::vector<Scale> scales(static_cast<std::size_t>(blocks));
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(inner));
    for (std::int64_t row = 0; row < count; ++row) {
      const std::span<const float> all(values.data() + row * inner, static_cast<std::size_t>(inner));
      for (std::int64_t at = 0; at < blocks; ++at) {
        const auto from = static_cast<std::size_t>(at * block);
        const auto length = static_cast<std::size_t>(std::min(block, inner - at * block));
        Scale& scale = scales[static_cast<std::size_t>(at)];
        try {
          scale = chooser.choose(all.subspan(from, length),
                                 importance.empty() ? importance : importance.subspan(from, length));
        } catch (const std::domain_error& error) {
          throw std::domain_error("row " + std::to_string(first + row) + " " + error.what());
        }
        for (std::size_t each = from; each < from + length; ++each) codes[each] = nearestCode(format, scale, all[each]);
      }
      packRow(format, codes, scales, first + row, rows);
    }
  });
}

}  // namespace tensorrt_node::quantize
