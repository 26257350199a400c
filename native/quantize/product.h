// Products of float32 matrices, by one thread: threads take tiles of a result each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tensorrt_node::quantize {

// A matrix, or one the other way round.
struct MatrixView {
  const float* data = nullptr;
  std::int64_t rowStride = 0;
  std::int64_t columnStride = 1;

  MatrixView at(std::int64_t row, std::int64_t column) const noexcept {
    return {data + row * rowStride + column * columnStride, rowStride, columnStride};
  }
  MatrixView transposed() const noexcept { return {data, columnStride, rowStride}; }
};

// Room for packed operands, kept between products.
class Multiplier {
 public:
  // result[rows, columns] += sign * a[rows, depth] * b[depth, columns]. The operands are read while the result is
  // written: they may be parts of one matrix that do not overlap.
  void addProduct(float* result, std::int64_t resultStride, MatrixView a, MatrixView b, std::int64_t rows,
                  std::int64_t columns, std::int64_t depth, float sign);

 private:
  std::vector<float> packedA_;
  std::vector<float> packedB_;
};

}  // namespace tensorrt_node::quantize
