// References: weights in other types, transposed, and out of blocks of codes.
#include <cstdint>

#include "any_element.h"
#include "element.h"
#include "references.h"

namespace simulator::kernels {

namespace {

std::size_t blocksOf(const DequantizeParameters& p) {
  const auto block = static_cast<std::size_t>(p.block);
  return (static_cast<std::size_t>(p.columns) + block - 1) / block;
}

std::size_t packedZeroPointBytes(const DequantizeParameters& p) {
  return (blocksOf(p) * static_cast<std::size_t>(p.bits) + 7) / 8;
}

}  // namespace

void convert(const ConvertParameters& p) {
  const auto rows = static_cast<std::size_t>(p.rows);
  const auto columns = static_cast<std::size_t>(p.columns);
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t column = 0; column < columns; ++column)
      storeAny(p.outType, p.out, row * columns + column,
               loadAny(p.inType, p.in, p.transposed != 0 ? column * rows + row : row * columns + column));
}

std::vector<Touch> touches(const ConvertParameters& p) {
  const auto elements = static_cast<std::size_t>(p.rows) * static_cast<std::size_t>(p.columns);
  return {reads(p.in, elements * bytesOf(p.inType)), writes(p.out, elements * bytesOf(p.outType))};
}

void dequantize(const DequantizeParameters& p) {
  const auto columns = static_cast<std::size_t>(p.columns);
  const auto block = static_cast<std::size_t>(p.block);
  const std::size_t blocks = blocksOf(p);
  const std::size_t rowBytes = blocks * block * static_cast<std::size_t>(p.bits) / 8;
  for (std::size_t row = 0; row < static_cast<std::size_t>(p.rows); ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      const std::size_t at = row * blocks + column / block;
      float zeroPoint = static_cast<float>(p.zeroPoint);
      if (p.zeroPoints != nullptr && p.packedZeroPoints != 0) {
        const auto* packed = static_cast<const std::uint8_t*>(p.zeroPoints) + row * packedZeroPointBytes(p);
        zeroPoint = static_cast<float>(code(packed, p.bits, column / block));
      } else if (p.zeroPoints != nullptr) {
        zeroPoint = loadAny(p.zeroPointType, p.zeroPoints, at);
      }
      const auto value = static_cast<float>(code(p.codes + row * rowBytes, p.bits, column));
      storeAny(p.outType, p.out, row * columns + column, (value - zeroPoint) * loadAny(p.scaleType, p.scales, at));
    }
  }
}

std::vector<Touch> touches(const DequantizeParameters& p) {
  const auto rows = static_cast<std::size_t>(p.rows);
  const std::size_t blocks = rows * blocksOf(p);
  std::vector<Touch> list{
      reads(p.codes, blocks * static_cast<std::size_t>(p.block) * static_cast<std::size_t>(p.bits) / 8),
      reads(p.scales, blocks * bytesOf(p.scaleType)),
      writes(p.out, rows * static_cast<std::size_t>(p.columns) * bytesOf(p.outType)),
  };
  if (p.zeroPoints != nullptr)
    list.push_back(reads(p.zeroPoints,
                         p.packedZeroPoints != 0 ? rows * packedZeroPointBytes(p) : blocks * bytesOf(p.zeroPointType)));
  return list;
}

}  // namespace simulator::kernels
