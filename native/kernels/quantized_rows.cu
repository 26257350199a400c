// Packed weights as a whole: rows of a table, dense matrices, and packing what files hold. Bound by memory.
#include "device/quantized.cuh"
#include "geometry.h"
#include "workspace.h"

namespace tensorrt_node::kernels {

// What scales a row's codes in a block, and what is added then.
struct Affine {
  float scale;
  float offset;
};

__device__ inline Affine affineOf(const QuantizedFormat& format, const QuantizedLayout& layout, const char* packed,
                                  std::int64_t tile, int row, std::int64_t inner) {
  const std::int64_t block = quantizedBlock(format, inner);
  const std::int64_t place = quantizedScalePlace(format, row, block);
  const auto halfAt = [&](std::uint64_t part) {
    const char* const from = packed + part + tile * layout.blocks * layout.scaleBytes;
    return toFloat(reinterpret_cast<const __half*>(from)[place]) / quantizedScaling;
  };
  const float scale = halfAt(layout.scales);
  if (format.offsets == Offsets::floating) return {scale, halfAt(layout.offsets)};
  if (format.codes == CodeType::float8) return {scale, 0};
  int zero = format.codes == CodeType::uint4 ? 8 : 128;
  if (format.offsets == Offsets::codes) {
    const auto* const from =
        reinterpret_cast<const unsigned char*>(packed) + layout.offsets + tile * layout.tileOffsetBytes;
    zero = quantizedOffsetBits(format) == 4 ? from[place / 2] >> (place % 2 * 4) & 15 : from[place];
  }
  return {scale, -static_cast<float>(zero) * scale};
}

__device__ inline float float8Value(unsigned code) {
  const unsigned bits = (code & 0x80) << 24 | (code & 0x7F) << 20;
  // The exponent is 120 less than it should be.
  return __uint_as_float(bits) * 1.329227995784916e36F;
}

// Code i of eight that follow each other, of their words.
__device__ inline float codeValue(CodeType codes, const std::uint32_t (&words)[2], int i) {
  if (codes == CodeType::uint4) return static_cast<float>(words[0] >> 4 * (i / 2 + i % 2 * 4) & 15);
  const unsigned code = words[i / 4] >> 8 * (i % 4 / 2 + i % 2 * 2) & 255;
  return codes == CodeType::float8 ? float8Value(code) : static_cast<float>(code);
}

template <typename T>
__device__ Vector<T> decode(CodeType codes, const std::uint32_t (&words)[2], const Affine& affine) {
  Vector<T> v;
#pragma unroll
  for (int i = 0; i < elementsPerVector; ++i)
    v.elements[i] = fromFloat<T>(codeValue(codes, words, i) * affine.scale + affine.offset);
  return v;
}

// `inner` is a multiple of eight.
__device__ inline void loadWords(std::uint32_t (&words)[2], CodeType codes, const char* tile, int row,
                                 std::int64_t inner) {
  const auto* const from = reinterpret_cast<const std::uint32_t*>(tile + quantizedCodePlace(codes, row, inner).byte);
  words[0] = from[0];
  words[1] = codes == CodeType::uint4 ? 0 : from[1];
}

// The first `count` of a vector's elements.
template <typename T>
__device__ void storeSome(T* to, const Vector<T>& vector, std::int64_t count, bool aligned) {
  if (count >= elementsPerVector && aligned) {
    storeVector(to, vector);
    return;
  }
#pragma unroll
  for (int i = 0; i < elementsPerVector; ++i)
    if (i < count) to[i] = vector.elements[i];
}

template <typename T>
__device__ void embedQuantized(const QuantizedEmbedParameters& parameters) {
  const EmbedParameters& p = parameters.embed;
  letSuccessorBegin();
  waitForPredecessor();
  const int token = p.tokens[blockIdx.x];
  const bool known = token >= 0 && token < p.vocabulary;
  const QuantizedRow row = quantizedRow(parameters.format, p.vocabulary, known ? token : 0);
  const char* const packed = static_cast<const char*>(p.table);
  const char* const tile = packed + row.tile * parameters.layout.units * quantizedUnitBytes;
  T* const to = static_cast<T*>(p.out) + static_cast<std::size_t>(blockIdx.x) * p.width;
  for (int i = threadIdx.x * elementsPerVector; i < p.width; i += quantizedRowThreads * elementsPerVector) {
    Vector<T> v;
    if (known) {
      std::uint32_t words[2];
      loadWords(words, parameters.format.codes, tile, row.row, i);
      v = decode<T>(parameters.format.codes, words,
                    affineOf(parameters.format, parameters.layout, packed, row.tile, row.row, i));
    }
    storeSome(to + i, v, p.width - i, p.width % elementsPerVector == 0);
  }
}

// The row of a matrix that is one of a tile, or `outer` where there is none.
__device__ inline std::int64_t outerOf(const QuantizedFormat& format, std::int64_t outer, std::int64_t tile, int row) {
  const std::int64_t half = format.gated != 0 ? outer / 2 : outer;
  const std::int64_t at = format.gated != 0 ? tile * 8 + row % 8 : tile * quantizedTile + row;
  if (at >= half) return outer;
  return format.gated != 0 && row >= 8 ? at + half : at;
}

// The i-th run, or unit, of a tile that this warp takes.
__device__ inline std::int64_t runOf(int i) {
  return (static_cast<std::int64_t>(blockIdx.y) * quantizedRowRuns + i) * (quantizedRowThreads / 32) + threadIdx.x / 32;
}

// A block takes a tile, its warps 32 elements of the rows in turn.
template <typename T>
__device__ void unpackQuantized(const QuantizedUnpackParameters& parameters) {
  const UnpackParameters& p = parameters.unpack;
  const QuantizedLayout& layout = parameters.layout;
  letSuccessorBegin();
  waitForPredecessor();
  const std::int64_t tile = blockIdx.x;
  const int lane = threadIdx.x % 32;
  const char* const packed = static_cast<const char*>(p.packed);
#pragma unroll 2
  for (int i = 0; i < quantizedRowRuns; ++i) {
    const std::int64_t inner = runOf(i) * 32 + lane % 4 * elementsPerVector;
    if (inner >= p.inner) return;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = lane / 4 + 8 * half;
      const std::int64_t outer = outerOf(p.format, p.outer, tile, row);
      if (outer >= p.outer) continue;
      std::uint32_t words[2];
      loadWords(words, p.format.codes, packed + tile * layout.units * quantizedUnitBytes, row, inner);
      storeSome(static_cast<T*>(p.out) + outer * p.inner + inner,
                decode<T>(p.format.codes, words, affineOf(p.format, layout, packed, tile, row, inner)), p.inner - inner,
                p.inner % elementsPerVector == 0);
    }
  }
}

__device__ inline float loadAny(ElementType type, const void* from, std::int64_t index) {
  switch (type) {
    case ElementType::float16:
      return toFloat(static_cast<const __half*>(from)[index]);
    case ElementType::bfloat16:
      return toFloat(static_cast<const __nv_bfloat16*>(from)[index]);
    default:
      return static_cast<const float*>(from)[index];
  }
}

// Unsigned codes of signed ones.
__device__ inline unsigned middleOf(const PackParameters& p) {
  return p.isSigned == 0 ? 0 : p.format.codes == CodeType::uint4 ? 8 : 128;
}
__device__ inline std::int64_t blocksOfFile(const PackParameters& p) {
  return p.block == 0 ? 1 : (p.inner + p.block - 1) / p.block;
}
// Of those of `bits` that begin in the low ones of their bytes.
__device__ inline unsigned codeAt(const unsigned char* from, int bits, std::int64_t index) {
  return bits == 8 ? from[index] : from[index / 2] >> (index % 2 * 4) & 15;
}

// Eight codes of a row that follow each other, in the order of quantizedCodePlace(); zeros after its end.
__device__ inline uint2 packedWords(const PackParameters& p, std::int64_t row, std::int64_t inner) {
  const bool isFour = p.format.codes == CodeType::uint4;
  const int bits = isFour ? 4 : 8;
  const auto* const codes = static_cast<const unsigned char*>(p.codes);
  const std::int64_t padded = p.block == 0 ? p.inner : blocksOfFile(p) * p.block;
  const unsigned char* const from = codes + row * ((padded * bits + 7) / 8);
  std::uint32_t words[2] = {};
  const unsigned char* const begin = from + inner * bits / 8;
  if (p.transposed == 0 && inner + 8 <= p.inner && reinterpret_cast<std::uintptr_t>(begin) % 4 == 0) {
    words[0] = reinterpret_cast<const std::uint32_t*>(begin)[0];
    if (!isFour) words[1] = reinterpret_cast<const std::uint32_t*>(begin)[1];
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (inner + i >= p.inner) break;
      const std::uint32_t code = p.transposed != 0 ? codes[(inner + i) * p.rows + row] : codeAt(from, bits, inner + i);
      if (isFour)
        words[0] |= code << (4 * i);
      else
        words[i / 4] |= code << (i % 4 * 8);
    }
  }
  if (isFour) {
    const std::uint32_t word = words[0] ^ middleOf(p) * 0x11111111;
    const auto squeezed = [](std::uint32_t nibbles) {
      nibbles = (nibbles | nibbles >> 4) & 0x00FF00FF;
      return (nibbles | nibbles >> 8) & 0xFFFF;
    };
    return make_uint2(squeezed(word & 0x0F0F0F0F) | squeezed(word >> 4 & 0x0F0F0F0F) << 16, 0);
  }
  const std::uint32_t middles = middleOf(p) * 0x01010101;
  return make_uint2(__byte_perm(words[0] ^ middles, 0, 0x3120), __byte_perm(words[1] ^ middles, 0, 0x3120));
}

// A block takes a tile, its warps units of it in turn, each lane its vector.
__device__ inline void packCodes(const QuantizedPackParameters& parameters) {
  const PackParameters& p = parameters.pack;
  waitForPredecessor();
  const std::int64_t tile = parameters.firstTile + blockIdx.x;
  const int lane = threadIdx.x % 32;
  std::int64_t rows[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const std::int64_t row = outerOf(p.format, p.outer, tile, lane / 4 + 8 * half) - p.firstRow;
    rows[half] = row < p.rows ? row : -1;
  }
#pragma unroll 2
  for (int i = 0; i < quantizedRowRuns; ++i) {
    const std::int64_t unit = runOf(i);
    if (unit >= parameters.layout.units) return;
    const std::int64_t inner = unit * quantizedUnit(p.format.codes) + lane % 4 * elementsPerVector;
    std::uint32_t words[2][2] = {};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (rows[half] < 0) continue;
      const uint2 first = packedWords(p, rows[half], inner);
      words[half][0] = first.x;
      words[half][1] = p.format.codes == CodeType::uint4 ? packedWords(p, rows[half], inner + 32).x : first.y;
    }
    char* const to =
        static_cast<char*>(p.packed) + (tile * parameters.layout.units + unit) * quantizedUnitBytes + lane * 16;
    // Four bits: a word of each row for each 32 elements.
    const bool alternating = p.format.codes == CodeType::uint4;
    if (rows[0] >= 0 && rows[1] >= 0) {
      *reinterpret_cast<uint4*>(to) = alternating ? make_uint4(words[0][0], words[1][0], words[0][1], words[1][1])
                                                  : make_uint4(words[0][0], words[0][1], words[1][0], words[1][1]);
      continue;
    }
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int word = 0; word < 2; ++word)
        if (rows[half] >= 0)
          reinterpret_cast<std::uint32_t*>(to)[alternating ? 2 * word + half : 2 * half + word] = words[half][word];
  }
}

// A thread for each block of a row.
__device__ inline void packScales(const QuantizedPackParameters& parameters) {
  const PackParameters& p = parameters.pack;
  const QuantizedLayout& layout = parameters.layout;
  waitForPredecessor();
  const std::int64_t row = blockIdx.x;
  const int bits = quantizedBits(p.format.codes);
  const QuantizedRow at = quantizedRow(p.format, p.outer, p.firstRow + row);
  char* const packed = static_cast<char*>(p.packed);
  const std::int64_t ofFile = blocksOfFile(p);
  const std::int64_t blocks = quantizedBlock(p.format, p.inner - 1) + 1;
  for (std::int64_t block = threadIdx.x; block < blocks; block += quantizedRowThreads) {
    const std::int64_t place = quantizedScalePlace(p.format, at.row, block);
    const std::int64_t source = p.block == 0 ? 0 : block * p.format.block / p.block;
    const std::int64_t index = p.transposed != 0 ? source * p.rows + row : row * ofFile + source;
    const float scale = loadAny(p.scaleType, p.scales, index);
    const auto putHalf = [&](std::uint64_t part, float value) {
      char* const to = packed + part + at.tile * layout.blocks * layout.scaleBytes;
      reinterpret_cast<__half*>(to)[place] = fromFloat<__half>(value * quantizedScaling);
    };
    putHalf(layout.scales, scale);
    if (p.format.offsets == Offsets::middle) continue;
    float zero = static_cast<float>(p.zeroPoint) + static_cast<float>(middleOf(p));
    if (p.zeroPoints != nullptr && p.packedZeroPoints == 0) {
      zero = loadAny(p.zeroPointType, p.zeroPoints, index) + static_cast<float>(middleOf(p));
    } else if (p.zeroPoints != nullptr) {
      const auto* const zeros = static_cast<const unsigned char*>(p.zeroPoints);
      zero = static_cast<float>(
          (p.transposed != 0 ? zeros[index] : codeAt(zeros + row * ((ofFile * bits + 7) / 8), bits, source)) ^
          middleOf(p));
    }
    if (p.format.offsets == Offsets::floating) {
      putHalf(layout.offsets, -zero * scale);
      continue;
    }
    const auto code = static_cast<unsigned>(static_cast<int>(zero)) & 255;
    auto* const to = reinterpret_cast<unsigned char*>(packed) + layout.offsets + at.tile * layout.tileOffsetBytes;
    if (quantizedOffsetBits(p.format) == 8) {
      to[place] = static_cast<unsigned char>(code);
      continue;
    }
    // Two rows, and blocks of others, share what is written at once.
    const std::int64_t byte = place / 2;
    atomicOr(reinterpret_cast<unsigned*>(to + byte / 4 * 4), code << (byte % 4 * 8 + place % 2 * 4));
  }
}

}  // namespace tensorrt_node::kernels

using namespace tensorrt_node::kernels;

extern "C" __global__ void __launch_bounds__(quantizedRowThreads)
    quantized_embed_float16(const __grid_constant__ QuantizedEmbedParameters p) {
  embedQuantized<__half>(p);
}
extern "C" __global__ void __launch_bounds__(quantizedRowThreads)
    quantized_embed_bfloat16(const __grid_constant__ QuantizedEmbedParameters p) {
  embedQuantized<__nv_bfloat16>(p);
}
extern "C" __global__ void __launch_bounds__(quantizedRowThreads)
    unpack_quantized_float16(const __grid_constant__ QuantizedUnpackParameters p) {
  unpackQuantized<__half>(p);
}
extern "C" __global__ void __launch_bounds__(quantizedRowThreads)
    unpack_quantized_bfloat16(const __grid_constant__ QuantizedUnpackParameters p) {
  unpackQuantized<__nv_bfloat16>(p);
}
extern "C" __global__ void __launch_bounds__(quantizedRowThreads)
    pack_codes(const __grid_constant__ QuantizedPackParameters p) {
  packCodes(p);
}
extern "C" __global__ void __launch_bounds__(quantizedRowThreads)
    pack_scales(const __grid_constant__ QuantizedPackParameters p) {
  packScales(p);
}
