// References: packed weights (native/kernels/quantized_format.h), made and read.
#include <cstring>
#include <vector>

#include "any_element.h"
#include "product.h"

namespace simulator::kernels {

namespace {

std::size_t of(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

float float8Value(int code) {
  const int exponent = code >> 3 & 15;
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(code & 7), -9)
                                        : std::ldexp(static_cast<float>(8 + (code & 7)), exponent - 10);
  return (code & 128) != 0 ? -magnitude : magnitude;
}

// Where the parts of a packed matrix are that belong to a row and a column.
class Places {
 public:
  Places(const QuantizedFormat& format, std::int64_t outer, std::int64_t inner)
      : format_(format), layout_(quantizedLayout(format, outer, inner)), outer_(outer) {}

  const QuantizedLayout& layout() const { return layout_; }
  std::size_t code(std::int64_t row, std::int64_t column, int& shift) const {
    const QuantizedRow at = quantizedRow(format_, outer_, row);
    const QuantizedCodePlace place = quantizedCodePlace(format_.codes, at.row, column);
    shift = place.shift;
    return of(at.tile * layout_.units * quantizedUnitBytes + place.byte);
  }
  std::size_t scale(std::int64_t row, std::int64_t block) const { return half(layout_.scales, row, block); }
  std::size_t floatingOffset(std::int64_t row, std::int64_t block) const { return half(layout_.offsets, row, block); }
  std::size_t integerOffset(std::int64_t row, std::int64_t block, int& shift) const {
    const QuantizedRow at = quantizedRow(format_, outer_, row);
    const std::size_t begin = layout_.offsets + of(at.tile * layout_.tileOffsetBytes);
    const std::size_t place = of(quantizedScalePlace(format_, at.row, block));
    const bool four = quantizedOffsetBits(format_) == 4;
    shift = four ? static_cast<int>(place % 2 * 4) : 0;
    return begin + (four ? place / 2 : place);
  }

 private:
  std::size_t half(std::uint64_t part, std::int64_t row, std::int64_t block) const {
    const QuantizedRow at = quantizedRow(format_, outer_, row);
    return part + of(at.tile * layout_.blocks * layout_.scaleBytes + quantizedScalePlace(format_, at.row, block) * 2);
  }

  const QuantizedFormat format_;
  const QuantizedLayout layout_;
  const std::int64_t outer_;
};

class Packed {
 public:
  Packed(const void* memory, const QuantizedFormat& format, std::int64_t outer, std::int64_t inner)
      : bytes_(static_cast<const std::uint8_t*>(memory)), format_(format), places_(format, outer, inner) {}

  float at(std::int64_t row, std::int64_t column) const {
    const int bits = quantizedBits(format_.codes);
    int shift = 0;
    const std::uint8_t byte = bytes_[places_.code(row, column, shift)];
    const int code = byte >> shift & ((1 << bits) - 1);
    const std::int64_t block = quantizedBlock(format_, column);
    const float scale = halfAt(places_.scale(row, block));
    if (format_.codes == CodeType::float8) return float8Value(code) * scale;
    if (format_.offsets == Offsets::floating)
      return static_cast<float>(code) * scale + halfAt(places_.floatingOffset(row, block));
    int zero = 1 << (bits - 1);
    if (format_.offsets == Offsets::codes) {
      const std::uint8_t both = bytes_[places_.integerOffset(row, block, shift)];
      zero = quantizedOffsetBits(format_) == 4 ? both >> shift & 15 : both;
    }
    return static_cast<float>(code - zero) * scale;
  }

 private:
  float halfAt(std::size_t place) const {
    Half half{};
    std::memcpy(&half.bits, bytes_ + place, 2);
    return half.value() / quantizedScaling;
  }

  const std::uint8_t* bytes_;
  const QuantizedFormat format_;
  const Places places_;
};

std::size_t packedBytes(const QuantizedFormat& format, std::int64_t outer, std::int64_t inner) {
  return quantizedBytes(format, outer, inner);
}

std::int64_t blocksOfFile(const PackParameters& p) {
  return p.block == 0 ? 1 : (p.inner + p.block - 1) / p.block;
}

// Bytes of a row of codes of the file.
std::size_t rowBytes(const PackParameters& p) {
  const std::int64_t padded = p.block == 0 ? p.inner : blocksOfFile(p) * p.block;
  return of((padded * quantizedBits(p.format.codes) + 7) / 8);
}

}  // namespace

template <typename Element>
void quantizedLinear(const QuantizedLinearParameters& p) {
  const Packed packed(p.linear.weight, p.format, p.linear.outer, p.linear.inner);
  const std::size_t inner = at(p.linear.inner);
  std::vector<float> weight(at(p.linear.outer) * inner);
  for (std::size_t i = 0; i < weight.size(); ++i)
    weight[i] = packed.at(static_cast<std::int64_t>(i / inner), static_cast<std::int64_t>(i % inner));
  multiply<Element>(p.linear, [&](std::size_t outer, std::size_t i) { return weight[outer * inner + i]; });
}

template void quantizedLinear<Half>(const QuantizedLinearParameters&);
template void quantizedLinear<Bfloat>(const QuantizedLinearParameters&);

std::vector<Touch> touches(const QuantizedLinearParameters& p) {
  std::vector<Touch> all = touchesBesideWeight(p.linear);
  all.push_back(reads(p.linear.weight, packedBytes(p.format, p.linear.outer, p.linear.inner)));
  return all;
}

template <typename Element>
void quantizedEmbed(const QuantizedEmbedParameters& parameters) {
  const EmbedParameters& p = parameters.embed;
  const Packed packed(p.table, parameters.format, p.vocabulary, p.width);
  for (std::int32_t row = 0; row < p.rows; ++row) {
    const std::int32_t token = p.tokens[row];
    const bool known = token >= 0 && token < p.vocabulary;
    for (std::int32_t i = 0; i < p.width; ++i)
      store<Element>(p.out, at(row) * at(p.width) + at(i), known ? packed.at(token, i) : 0);
  }
}

template void quantizedEmbed<Half>(const QuantizedEmbedParameters&);
template void quantizedEmbed<Bfloat>(const QuantizedEmbedParameters&);

std::vector<Touch> touches(const QuantizedEmbedParameters& parameters) {
  const EmbedParameters& p = parameters.embed;
  return {reads(p.tokens, at(p.rows) * 4), reads(p.table, packedBytes(parameters.format, p.vocabulary, p.width)),
          writes(p.out, at(p.rows) * at(p.width) * 2)};
}

template <typename Element>
void unpackQuantized(const QuantizedUnpackParameters& parameters) {
  const UnpackParameters& p = parameters.unpack;
  const Packed packed(p.packed, p.format, p.outer, p.inner);
  for (std::int64_t row = 0; row < p.outer; ++row)
    for (std::int64_t column = 0; column < p.inner; ++column)
      store<Element>(p.out, of(row * p.inner + column), packed.at(row, column));
}

template void unpackQuantized<Half>(const QuantizedUnpackParameters&);
template void unpackQuantized<Bfloat>(const QuantizedUnpackParameters&);

std::vector<Touch> touches(const QuantizedUnpackParameters& parameters) {
  const UnpackParameters& p = parameters.unpack;
  return {reads(p.packed, packedBytes(p.format, p.outer, p.inner)), writes(p.out, of(p.outer * p.inner) * 2)};
}

void packQuantized(const QuantizedPackParameters& parameters) {
  const PackParameters& p = parameters.pack;
  const Places places(p.format, p.outer, p.inner);
  auto* const packed = static_cast<std::uint8_t*>(p.packed);
  const auto* const codes = static_cast<const std::uint8_t*>(p.codes);
  const int bits = quantizedBits(p.format.codes);
  const int middle = p.isSigned != 0 ? 1 << (bits - 1) : 0;
  const std::int64_t ofFile = blocksOfFile(p);
  const auto put = [&](std::size_t place, int shift, int value, int mask) {
    packed[place] = static_cast<std::uint8_t>((packed[place] & ~(mask << shift)) | value << shift);
  };
  const auto putHalf = [&](std::size_t place, float value) {
    const Half half = Half::of(value * quantizedScaling);
    std::memcpy(packed + place, &half.bits, 2);
  };
  for (std::int64_t row = 0; row < p.rows; ++row) {
    const std::int64_t outer = p.firstRow + row;
    for (std::int64_t column = 0; column < p.inner; ++column) {
      const int value =
          p.transposed != 0 ? codes[of(column * p.rows + row)] : code(codes + of(row) * rowBytes(p), bits, of(column));
      int shift = 0;
      const std::size_t place = places.code(outer, column, shift);
      put(place, shift, value ^ middle, (1 << bits) - 1);
    }
    for (std::int64_t block = 0; block <= quantizedBlock(p.format, p.inner - 1); ++block) {
      const std::int64_t source = p.block == 0 ? 0 : block * p.format.block / p.block;
      const std::size_t index = of(p.transposed != 0 ? source * p.rows + row : row * ofFile + source);
      const float scale = loadAny(p.scaleType, p.scales, index);
      putHalf(places.scale(outer, block), scale);
      if (p.format.offsets == Offsets::middle) continue;
      float zero = static_cast<float>(p.zeroPoint + middle);
      if (p.zeroPoints != nullptr && p.packedZeroPoints == 0) {
        zero = loadAny(p.zeroPointType, p.zeroPoints, index) + static_cast<float>(middle);
      } else if (p.zeroPoints != nullptr) {
        const auto* const zeros = static_cast<const std::uint8_t*>(p.zeroPoints);
        const std::size_t ofRow = (of(ofFile) * static_cast<std::size_t>(bits) + 7) / 8;
        zero = static_cast<float>((p.transposed != 0 ? zeros[index] : code(zeros + of(row) * ofRow, bits, of(source))) ^
                                  middle);
      }
      if (p.format.offsets == Offsets::floating) {
        putHalf(places.floatingOffset(outer, block), -zero * scale);
      } else {
        int shift = 0;
        const std::size_t place = places.integerOffset(outer, block, shift);
        put(place, shift, static_cast<int>(zero), quantizedOffsetBits(p.format) == 4 ? 15 : 255);
      }
    }
  }
}

std::vector<Touch> touches(const QuantizedPackParameters& parameters) {
  const PackParameters& p = parameters.pack;
  const std::size_t blocks = of(p.rows * blocksOfFile(p));
  const std::size_t codes = p.transposed != 0 ? of(p.rows * p.inner) : of(p.rows) * rowBytes(p);
  std::vector<Touch> all{reads(p.codes, codes), reads(p.scales, blocks * bytesOf(p.scaleType)),
                         writes(p.packed, packedBytes(p.format, p.outer, p.inner))};
  if (p.zeroPoints == nullptr) return all;
  const std::size_t ofRow = (of(blocksOfFile(p)) * static_cast<std::size_t>(quantizedBits(p.format.codes)) + 7) / 8;
  const std::size_t zeros = p.packedZeroPoints == 0 ? blocks * bytesOf(p.zeroPointType)
                            : p.transposed != 0     ? blocks
                                                    : of(p.rows) * ofRow;
  all.push_back(reads(p.zeroPoints, zeros));
  return all;
}

}  // namespace simulator::kernels
