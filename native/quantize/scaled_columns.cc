// Scaled columns, and what scaling them is worth.
#include "scaled_columns.h"

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "matrix.h"
#include "product.h"
#include "scale.h"

namespace tensorrt_node::quantize {
namespace {

std::int64_t rowsOf(std::size_t values, std::size_t inner) {
  if (inner == 0 || values % inner != 0) throw std::invalid_argument("rows have another size");
  return static_cast<std::int64_t>(values / inner);
}

}  // namespace

void scaleColumns(std::span<float> values, std::span<const float> factors, const Threads& threads) {
  const std::size_t inner = factors.size();
  const std::int64_t outer = rowsOf(values.size(), inner);
  parallelFor(threads, (outer + kRowsAtATime - 1) / kRowsAtATime, [&](std::int64_t chunk) {
    const std::int64_t end = std::min(outer, (chunk + 1) * kRowsAtATime);
    for (std::int64_t row = chunk * kRowsAtATime; row < end; ++row) {
      float* const line = values.data() + static_cast<std::size_t>(row) * inner;
      for (std::size_t column = 0; column < inner; ++column) line[column] *= factors[column];
    }
  });
}

double scaledError(std::span<const float> values, std::span<const float> hessian, std::span<const float> factors,
                   std::int64_t stride, const Format& format, const Threads& threads) {
  const std::size_t inner = factors.size();
  const std::int64_t outer = rowsOf(values.size(), inner);
  if (hessian.size() != inner * inner || stride < 1) throw std::invalid_argument("a Hessian is square");
  const auto wide = static_cast<std::int64_t>(inner);
  const std::int64_t block = format.blockOf(wide);
  std::vector<float> importance(inner);
  for (std::size_t column = 0; column < inner; ++column)
    importance[column] = hessian[column * inner + column] / (factors[column] * factors[column]);

  const std::int64_t taken = (outer + stride - 1) / stride;
  std::mutex mutex;
  double total = 0;
  parallelFor(threads, (taken + kRowsAtATime - 1) / kRowsAtATime, [&](std::int64_t chunk) {
    const std::int64_t first = chunk * kRowsAtATime;
    const std::int64_t count = std::min(kRowsAtATime, taken - first);
    std::vector<float> errors(static_cast<std::size_t>(count) * inner);
    std::vector<float> scaled(inner);
    ScaleChooser chooser(format);
    for (std::int64_t row = 0; row < count; ++row) {
      const float* const line = values.data() + static_cast<std::size_t>((first + row) * stride) * inner;
      for (std::size_t column = 0; column < inner; ++column) scaled[column] = line[column] * factors[column];
      for (std::int64_t from = 0; from < wide; from += block) {
        const auto start = static_cast<std::size_t>(from);
        const auto length = static_cast<std::size_t>(std::min(block, wide - from));
        const Scale scale =
            chooser.choose(std::span(scaled).subspan(start, length), std::span(importance).subspan(start, length));
        for (std::size_t column = start; column < start + length; ++column) {
          const float rounded = valueOf(format, scale, nearestCode(format, scale, scaled[column]));
          errors[static_cast<std::size_t>(row) * inner + column] = line[column] - rounded / factors[column];
        }
      }
    }
    std::vector<float> products(errors.size());
    Multiplier().addProduct(products.data(), wide, {errors.data(), wide, 1}, {hessian.data(), wide, 1}, count, wide,
                            wide, 1);
    double sum = 0;
    for (std::size_t each = 0; each < errors.size(); ++each)
      sum += static_cast<double>(errors[each]) * static_cast<double>(products[each]);
    const std::lock_guard lock(mutex);
    total += sum;
  });
  return total;
}

}  // namespace tensorrt_node::quantize
