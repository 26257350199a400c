// Packed weights of 8 and 4 bits: every format against references in double precision, made of what files hold.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernel_test.h"
#include "kernel_times.h"
#include "kernels/geometry.h"
#include "kernels/launch.h"
#include "product_case.h"

namespace kernel_test {

namespace {

const char* codesOf(CodeType codes) {
  return codes == CodeType::uint4 ? "uint4" : codes == CodeType::uint8 ? "uint8" : "float8";
}
const char* offsetsOf(Offsets offsets) {
  return offsets == Offsets::middle ? "middle" : offsets == Offsets::codes ? "codes" : "floating";
}
std::string formatOf(const QuantizedFormat& format) {
  return text(codesOf(format.codes), offsetsOf(format.offsets), format.block);
}

// How a file has a matrix.
struct Storage {
  bool isSigned = false;
  bool transposed = false;
  ElementType scaleType = ElementType::float16;
  // Blocks of the file that one of the format is a part of.
  int repeats = 1;
};

// A matrix of random codes: as a file holds it, and what it means.
class Matrix {
 public:
  Matrix(const QuantizedFormat& format, int outer, int inner, const Storage& storage = {})
      : format_(format), storage_(storage), outer_(outer), inner_(inner) {
    fileBlock_ = format.block * storage.repeats;
    fileBlocks_ = fileBlock_ == 0 ? 1 : divideUp(inner, fileBlock_);
    padded_ = fileBlock_ == 0 ? inner : fileBlocks_ * fileBlock_;
    const int most = format.codes == CodeType::uint4 ? 15 : 255;
    codes_.resize(static_cast<std::size_t>(outer) * padded_);
    for (int& each : codes_) {
      each = static_cast<int>(randomness() % (most + 1));
      // Neither infinite nor a number.
      if (format.codes == CodeType::float8 && (each & 127) == 127) each = 0;
    }
    const std::size_t blocks = static_cast<std::size_t>(outer) * fileBlocks_;
    const float spread = format.codes == CodeType::uint4 ? 4.6F : format.codes == CodeType::uint8 ? 74 : 150;
    for (std::size_t i = 0; i < blocks; ++i) {
      const float scale =
          (0.5F + static_cast<float>(randomness() % 1000) / 500) / spread / std::sqrt(static_cast<float>(inner));
      // What the packed form and the file's types keep.
      scales_.push_back(Bfloat::of(scale).value());
      zeros_.push_back(format.offsets == Offsets::middle  ? (most + 1) / 2
                       : format.offsets == Offsets::codes ? static_cast<float>(randomness() % (most + 1))
                                                          : static_cast<float>(randomness() % (64 * most)) / 64);
    }
  }

  double at(int row, int column) const {
    const int code = codes_[static_cast<std::size_t>(row) * padded_ + column];
    const std::size_t block = static_cast<std::size_t>(row) * fileBlocks_ + (fileBlock_ == 0 ? 0 : column / fileBlock_);
    const double scale = scales_[block];
    if (format_.codes == CodeType::float8) return float8Value(code) * scale;
    if (format_.offsets != Offsets::floating) return (code - static_cast<double>(zeros_[block])) * scale;
    const Half offset = Half::of(-zeros_[block] * scales_[block] * quantizedScaling);
    return code * scale + static_cast<double>(offset.value()) / quantizedScaling;
  }

  // Packs `parts` runs of rows, one after the other.
  const void* pack(Gpu& gpu, int parts) const {
    const std::size_t bytes = quantizedBytes(format_, outer_, inner_);
    void* packed = zeros(gpu, bytes);
    for (int part = 0; part < parts; ++part) {
      const int first = outer_ * part / parts;
      const int rows = outer_ * (part + 1) / parts - first;
      PackParameters p{};
      p.codes = gpu.put(fileCodes(first, rows));
      p.scales = putNumbers(gpu, scales_, first, rows, storage_.scaleType);
      p.packed = packed;
      p.outer = outer_;
      p.inner = inner_;
      p.firstRow = first;
      p.rows = rows;
      p.format = format_;
      p.block = fileBlock_;
      p.isSigned = storage_.isSigned ? 1 : 0;
      p.transposed = storage_.transposed ? 1 : 0;
      p.scaleType = storage_.scaleType;
      p.zeroPointType = ElementType::float32;
      if (format_.offsets == Offsets::codes) {
        p.zeroPoints = gpu.put(fileZeros(first, rows));
        p.packedZeroPoints = 1;
      } else if (format_.offsets == Offsets::floating) {
        std::vector<float> numbers = zeros_;
        if (storage_.isSigned)
          for (float& each : numbers) each -= static_cast<float>(middle());
        p.zeroPoints = putNumbers(gpu, numbers, first, rows, ElementType::float32);
      }
      packQuantized(gpu.kernels(), gpu.stream(), p);
    }
    return packed;
  }

 private:
  int bits() const { return quantizedBits(format_.codes); }
  int middle() const { return 1 << (bits() - 1); }

  // Codes of rows that follow each other, `count` of them, packed from the low bits of each byte on.
  std::vector<std::uint8_t> packedRow(const std::vector<int>& codes) const {
    std::vector<std::uint8_t> bytes((codes.size() * bits() + 7) / 8);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const int code = storage_.isSigned ? codes[i] ^ middle() : codes[i];
      bytes[i * bits() / 8] = static_cast<std::uint8_t>(bytes[i * bits() / 8] | code << (bits() == 4 ? i % 2 * 4 : 0));
    }
    return bytes;
  }
  std::vector<std::uint8_t> fileRows(int rows, int columns, const std::function<int(int, int)>& codeAt) const {
    std::vector<std::uint8_t> all;
    for (int i = 0; i < (storage_.transposed ? columns : rows); ++i) {
      std::vector<int> line;
      for (int j = 0; j < (storage_.transposed ? rows : columns); ++j)
        line.push_back(storage_.transposed ? codeAt(j, i) : codeAt(i, j));
      const auto bytes = packedRow(line);
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
    return all;
  }
  std::vector<std::uint8_t> fileCodes(int first, int rows) const {
    return fileRows(rows, storage_.transposed ? inner_ : padded_, [&](int row, int column) {
      return codes_[static_cast<std::size_t>(first + row) * padded_ + column];
    });
  }
  std::vector<std::uint8_t> fileZeros(int first, int rows) const {
    return fileRows(rows, fileBlocks_, [&](int row, int block) {
      return static_cast<int>(zeros_[static_cast<std::size_t>(first + row) * fileBlocks_ + block]);
    });
  }
  const void* putNumbers(Gpu& gpu, const std::vector<float>& numbers, int first, int rows, ElementType type) const {
    std::vector<float> values;
    for (int i = 0; i < (storage_.transposed ? fileBlocks_ : rows); ++i)
      for (int j = 0; j < (storage_.transposed ? rows : fileBlocks_); ++j)
        values.push_back(numbers[static_cast<std::size_t>(first + (storage_.transposed ? j : i)) * fileBlocks_ +
                                 (storage_.transposed ? i : j)]);
    if (type == ElementType::float16) return gpu.put(rounded<Half>(values));
    if (type == ElementType::bfloat16) return gpu.put(rounded<Bfloat>(values));
    return gpu.put(values);
  }

  const QuantizedFormat format_;
  const Storage storage_;
  const int outer_;
  const int inner_;
  int fileBlock_;
  int fileBlocks_;
  int padded_;
  std::vector<int> codes_;
  std::vector<float> scales_;
  std::vector<float> zeros_;
};

template <typename Element>
void testUnpack(Gpu& gpu, const QuantizedFormat& format, int outer, int inner, int parts, const Storage& storage = {}) {
  const std::string name =
      text("unpack", nameOf<Element>(), formatOf(format), outer, inner, parts, format.gated != 0 ? "gated" : "",
           storage.isSigned ? "signed" : "", storage.transposed ? "transposed" : "",
           "scales " + std::to_string(static_cast<int>(storage.scaleType)), storage.repeats);
  if (!wanted(name)) return;
  const Matrix matrix(format, outer, inner, storage);
  const void* packed = matrix.pack(gpu, parts);
  const std::size_t count = static_cast<std::size_t>(outer) * inner;
  void* out = gpu.empty(count * 2);
  unpackQuantized(gpu.kernels(), gpu.stream(), typeOf<Element>(), {packed, out, outer, inner, format});
  std::vector<double> expected;
  const auto actual = gpu.take<Element>(out, count);
  bool same = true;
  for (int row = 0; row < outer; ++row)
    for (int column = 0; column < inner; ++column) {
      const double value = actual[static_cast<std::size_t>(row) * inner + column].value();
      const double wanted = matrix.at(row, column);
      same = same && std::abs(value - wanted) <= 0.501 * unit<Element>() * std::abs(wanted) * 2 + 1e-7;
    }
  verdict(name, same);
  gpu.release();
}

template <typename Element>
void testEmbedQuantized(Gpu& gpu, const QuantizedFormat& format, int rows, int width, int vocabulary) {
  const std::string name = text("embed quantized", nameOf<Element>(), formatOf(format), rows, width);
  if (!wanted(name)) return;
  const Matrix matrix(format, vocabulary, width);
  std::vector<std::int32_t> tokens;
  for (int row = 0; row < rows; ++row)
    tokens.push_back(row == 1 ? -1 : row == 2 ? vocabulary : (row * 7919) % vocabulary);
  void* out = gpu.empty(static_cast<std::size_t>(rows) * width * 2);
  quantizedEmbed(gpu.kernels(), gpu.stream(), typeOf<Element>(),
                 {gpu.put(tokens), matrix.pack(gpu, 2), out, rows, width, vocabulary}, format);
  std::vector<double> expected;
  for (const int token : tokens)
    for (int i = 0; i < width; ++i) expected.push_back(token >= 0 && token < vocabulary ? matrix.at(token, i) : 0);
  compare(name, gpu.take<Element>(out, expected.size()), expected, 0.35 * unit<Element>());
  gpu.release();
}

template <typename Element>
Product<Element> makeQuantized(Gpu& gpu, const ProductCase& c, const Matrix& matrix) {
  auto d =
      makeProduct<Element>(gpu, c, matrix.pack(gpu, 1), quantizedWorkspaceBytes(c.rows, c.inner, c.outer, c.normed));
  d.p.arrivals = gpu.arrivals();
  return d;
}

template <typename Element>
void testProduct(Gpu& gpu, QuantizedFormat format, const ProductCase& c, int fewRows = quantizedFewRows) {
  format.gated = c.gated < 0 ? 0 : 1;
  const std::string name =
      text("quantized", nameOf<Element>(), formatOf(format), textOf(c), fewRows == 0 ? "many" : "");
  if (!wanted(name)) return;
  const Matrix matrix(format, c.outer, c.inner);
  const auto d = makeQuantized<Element>(gpu, c, matrix);
  quantizedLinear(gpu.kernels(), gpu.stream(), typeOf<Element>(), d.p, format, fewRows);
  // In half precision the kernels for many rows round weights, as those are that prompts are multiplied with.
  const bool many = c.rows > fewRows && c.inner % 8 == 0;
  const bool roundsWeights = many && !std::is_same_v<Element, Bfloat>;
  std::vector<double> weights;
  for (int row = 0; row < c.outer; ++row)
    for (int column = 0; column < c.inner; ++column) {
      const double exact = matrix.at(row, column);
      weights.push_back(roundsWeights ? double{Element::of(static_cast<float>(exact)).value()} : exact);
    }
  // Rounded before it is multiplied, as by RmsNorm.
  const auto expected =
      expectedOf(c, d, weights, [](double x) { return double{Element::of(static_cast<float>(x)).value()}; });
  // What is normalised is rounded, and near the middle between two numbers that may go either way; a gate's error is
  // that of its up too. In bfloat16 codes of four bits are multiplied with 128 added to them.
  const bool raised = std::is_same_v<Element, Bfloat> && format.codes == CodeType::uint4;
  const double inside = (c.normed ? unit<Element>() : raised ? 2e-5 : 4e-6) * (c.gated < 0 ? 1 : 3);
  compareProduct(gpu, name, c, d, expected, inside);
  gpu.release();
}

// The kernels for many rows add up in the same order however many they are.
template <typename Element>
void testRows(Gpu& gpu, QuantizedFormat format, bool gated) {
  format.gated = gated ? 1 : 0;
  const std::string name = text("quantized rows", nameOf<Element>(), formatOf(format), gated ? "gated" : "");
  if (!wanted(name)) return;
  const ProductCase c{.rows = 150, .inner = 2600, .outer = 46, .wide = true, .normed = true, .gated = gated ? 0 : -1};
  const auto d = makeQuantized<Element>(gpu, c, Matrix(format, c.outer, c.inner));
  verdict(name, rowsAreAlone(gpu, c, d, {150, 128, 70, 64, 33, 32, 24, 17}, [&](const LinearParameters& p) {
            quantizedLinear(gpu.kernels(), gpu.stream(), typeOf<Element>(), p, format);
          }));
  gpu.release();
}

std::vector<QuantizedFormat> allFormats() {
  std::vector<QuantizedFormat> all;
  for (const Offsets offsets : {Offsets::middle, Offsets::codes, Offsets::floating}) {
    for (const int block : {32, 64, 128}) all.push_back({CodeType::uint4, offsets, block, 0});
    for (const int block : {0, 32, 64, 128}) all.push_back({CodeType::uint8, offsets, block, 0});
  }
  all.push_back({CodeType::float8, Offsets::middle, 0, 0});
  return all;
}

template <typename Element>
void testTyped(Gpu& gpu) {
  for (const QuantizedFormat& format : allFormats()) {
    testUnpack<Element>(gpu, format, 37, 200, 1);
    testUnpack<Element>(gpu, format, 96, 264, 3);
    testUnpack<Element>(gpu, format, 21, 75, 2, {.scaleType = ElementType::float32});
    QuantizedFormat gated = format;
    gated.gated = 1;
    testUnpack<Element>(gpu, gated, 42, 96, 1);
    testUnpack<Element>(gpu, gated, 46, 168, 3);
    if (format.codes != CodeType::float8)
      testUnpack<Element>(gpu, format, 35, 128, 2, {.isSigned = true, .scaleType = ElementType::bfloat16});
    if (format.codes != CodeType::uint4)
      testUnpack<Element>(gpu, format, 50, 130, 2, {.isSigned = format.codes == CodeType::uint8, .transposed = true});
    if (format.block != 0) testUnpack<Element>(gpu, format, 20, 600, 1, {.repeats = 2});
    testEmbedQuantized<Element>(gpu, format, 5, 200, 100);
    testEmbedQuantized<Element>(gpu, format, 4, 75, 33);

    testProduct<Element>(gpu, format, {.rows = 1, .inner = 200, .outer = 40, .wide = true});
    testProduct<Element>(gpu, format, {.rows = 3, .inner = 264, .outer = 21, .bias = true, .residual = true});
    testProduct<Element>(gpu, format, {.rows = 2, .inner = 576, .outer = 50, .wide = true, .normed = true, .gated = 0});
    testProduct<Element>(gpu, format, {.rows = 13, .inner = 168, .outer = 37, .wide = true});
    testProduct<Element>(gpu, format, {.rows = 20, .inner = 200, .outer = 40, .residual = true, .wide = true});
    testProduct<Element>(gpu, format, {.rows = 65, .inner = 104, .outer = 34, .normed = true, .gated = 1});
  }
  const QuantizedFormat q4{CodeType::uint4, Offsets::floating, 32, 0};
  const QuantizedFormat q8{CodeType::uint8, Offsets::codes, 64, 0};
  for (const QuantizedFormat& format : {q4, q8}) {
    // Rows of x that are not whole vectors.
    for (const int rows : {1, 5, 16, 21})
      testProduct<Element>(gpu, format,
                           {.rows = rows, .inner = 203, .outer = 37, .bias = true, .wide = true, .normed = true});
    // More tiles than a batch has, for each block, and more chunks than warps.
    testProduct<Element>(gpu, format, {.rows = 1, .inner = 96, .outer = 1300, .wide = true});
    testProduct<Element>(gpu, format, {.rows = 2, .inner = 1300, .outer = 700, .residual = true, .wide = true});
    testProduct<Element>(gpu, format, {.rows = 16, .inner = 1160, .outer = 150, .wide = true});
    testProduct<Element>(gpu, format, {.rows = 4, .inner = 4096, .outer = 17, .wide = true, .normed = true});
    // A row of x for each warp, and more, longer than what is asked for ahead.
    for (const int rows : {7, 8})
      testProduct<Element>(gpu, format, {.rows = rows, .inner = 1000, .outer = 46, .bias = true, .normed = true}, 8);
    testProduct<Element>(
        gpu, format, {.rows = 6, .inner = 328, .outer = 46, .bias = true, .wide = true, .normed = true, .gated = 2}, 8);
    // Blocks with panels of their own, one and more, not all of their tiles being there.
    testProduct<Element>(gpu, format, {.rows = 40, .inner = 136, .outer = 1300, .wide = true});
    testProduct<Element>(gpu, format, {.rows = 17, .inner = 296, .outer = 1250, .bias = true, .gated = 2});
    testProduct<Element>(gpu, format, {.rows = 17, .inner = 392, .outer = 3000, .residual = true, .wide = true});
    testProduct<Element>(gpu, format, {.rows = 65, .inner = 136, .outer = 2070, .wide = true});
    // Panels of several blocks, which do not have as many chunks each.
    testProduct<Element>(gpu, format, {.rows = 33, .inner = 2600, .outer = 300, .residual = true, .wide = true});
    testProduct<Element>(gpu, format,
                         {.rows = 17, .inner = 2104, .outer = 330, .bias = true, .wide = true, .gated = 0});
    testProduct<Element>(gpu, format, {.rows = 20, .inner = 8200, .outer = 50, .residual = true, .wide = true});
    // Panels of another size, and more chunks than stages, on any GPU.
    testProduct<Element>(
        gpu, format, {.rows = 9, .inner = 4104, .outer = 46 * gpu.kernels().multiprocessors(), .wide = true}, 8);
    testProduct<Element>(gpu, format, {.rows = 9, .inner = 4096, .outer = 17, .wide = true}, 0);
    testProduct<Element>(gpu, format, {.rows = 1, .inner = 1000, .outer = 46, .wide = true}, 0);
    testProduct<Element>(gpu, format, {.rows = 300, .inner = 1304, .outer = 170, .bias = true, .residual = true});
    testRows<Element>(gpu, format, false);
    testRows<Element>(gpu, format, true);
  }
}

}  // namespace

void testQuantized(Gpu& gpu) {
  testTyped<Half>(gpu);
  testTyped<Bfloat>(gpu);
}

namespace {

struct Shape {
  const char* name;
  int outer;
  int inner;
  bool normed;
  bool gated;
};

// Of Llama 3 8B and of SmolLM2 135M.
constexpr Shape shapes[] = {{"8B qkv", 6144, 4096, true, false},     {"8B output", 4096, 4096, false, false},
                            {"8B gate_up", 28672, 4096, true, true}, {"8B down", 4096, 14336, false, false},
                            {"8B head", 128256, 4096, true, false},  {"135M qkv", 960, 576, true, false},
                            {"135M output", 576, 576, false, false}, {"135M gate_up", 3072, 576, true, true},
                            {"135M down", 576, 1536, false, false},  {"135M head", 49152, 576, true, false}};

void reportTime(const char* kernel, const std::string& shape, const std::string& how, int rows, double us,
                double bytes) {
  std::printf("{\"kernel\":\"%s\",\"shape\":\"%s\",\"how\":\"%s\",\"rows\":%d,\"us\":%.2f,\"gb_s\":%.0f}\n", kernel,
              shape.c_str(), how.c_str(), rows, us, bytes / us / 1e3);
  std::fflush(stdout);
}

void benchShape(Gpu& gpu, const Shape& s, QuantizedFormat format) {
  format.gated = s.gated ? 1 : 0;
  const std::string name = text(s.name, formatOf(format));
  if (!wanted("quantized shapes " + name)) return;
  const std::size_t bytes = quantizedBytes(format, s.outer, s.inner);
  // More than the GPU's cache holds, of small ones too.
  const int copies = static_cast<int>(std::clamp(256e6 / static_cast<double>(bytes), 2.0, 1000.0));
  auto* const weights = static_cast<char*>(zeros(gpu, bytes * copies));
  for (const int rows : {1, 2, 4, 8, 16, 32, 64, 128}) {
    LinearParameters p{};
    p.x = zeros(gpu, sizeOf(rows, s.inner) * 2);
    p.y = gpu.empty(sizeOf(rows, s.outer) * 4);
    p.rows = rows;
    p.inner = s.inner;
    p.outer = s.outer;
    p.normWeight = s.normed ? zeros(gpu, sizeOf(1, s.inner) * 2) : nullptr;
    p.workspace = gpu.empty(quantizedWorkspaceBytes(rows, s.inner, s.outer, s.normed));
    p.gated = format.gated;
    p.arrivals = gpu.arrivals();
    const auto measure = [&](const char* how, int fewRows) {
      const double us = microseconds(gpu, 2 * copies, [&](int i) {
        p.weight = weights + bytes * (i % copies);
        quantizedLinear(gpu.kernels(), gpu.stream(), ElementType::float16, p, format, fewRows);
      });
      reportTime("quantized", name, how, rows, us, static_cast<double>(bytes));
    };
    measure("", quantizedFewRows);
    if (rows <= quantizedFewRows) measure("many", 0);
  }
  gpu.release();
}

// Packing and unpacking: bytes that are read and written.
void benchPack(Gpu& gpu, const QuantizedFormat& format, int outer, int inner) {
  if (!wanted("quantized pack " + formatOf(format))) return;
  const auto bytes = static_cast<double>(quantizedBytes(format, outer, inner));
  const std::string shape = text(formatOf(format), outer, inner);
  PackParameters p{};
  p.codes = zeros(gpu, sizeOf(outer, inner));
  p.scales = zeros(gpu, sizeOf(outer, inner) / 8);
  p.zeroPoints = format.offsets == Offsets::middle ? nullptr : zeros(gpu, sizeOf(outer, inner) / 8);
  p.packed = zeros(gpu, static_cast<std::size_t>(bytes));
  p.outer = outer;
  p.inner = inner;
  p.rows = outer;
  p.format = format;
  p.block = format.block;
  p.packedZeroPoints = format.offsets == Offsets::codes ? 1 : 0;
  const double packing = microseconds(gpu, 4, [&](int) { packQuantized(gpu.kernels(), gpu.stream(), p); });
  reportTime("pack", shape, "", outer, packing, 2 * bytes);
  if (format.codes != CodeType::uint4) {
    p.transposed = 1;
    const double transposing = microseconds(gpu, 4, [&](int) { packQuantized(gpu.kernels(), gpu.stream(), p); });
    reportTime("pack", shape, "transposed", outer, transposing, 2 * bytes);
  }
  void* const dense = gpu.empty(sizeOf(outer, inner) * 2);
  const double unpacking = microseconds(gpu, 4, [&](int) {
    unpackQuantized(gpu.kernels(), gpu.stream(), ElementType::float16, {p.packed, dense, outer, inner, format});
  });
  reportTime("unpack", shape, "", outer, unpacking, bytes + 2.0 * outer * inner);
  gpu.release();
}

}  // namespace

void benchQuantized(Gpu& gpu) {
  for (const QuantizedFormat& format : {QuantizedFormat{CodeType::uint4, Offsets::middle, 32, 0},
                                        QuantizedFormat{CodeType::uint4, Offsets::floating, 32, 0},
                                        QuantizedFormat{CodeType::uint4, Offsets::codes, 128, 0},
                                        QuantizedFormat{CodeType::uint8, Offsets::middle, 32, 0},
                                        QuantizedFormat{CodeType::uint8, Offsets::middle, 0, 0},
                                        QuantizedFormat{CodeType::float8, Offsets::middle, 0, 0}}) {
    for (const Shape& shape : shapes) benchShape(gpu, shape, format);
    benchPack(gpu, format, 28672, 4096);
  }
}

}  // namespace kernel_test
