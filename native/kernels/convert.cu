// Weights from the form of model files into the one that products take: other types, transposed, out of blocks of
// codes. Bound by memory; run once, at load.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "device/intrinsics.cuh"
#include "geometry.h"
#include "parameters.h"

using namespace tensorrt_node::kernels;

namespace {

constexpr int threads = convertTile * convertTileRows;

__device__ float loadAny(ElementType type, const void* from, long long index) {
  switch (type) {
    case ElementType::float16:
      return __half2float(static_cast<const __half*>(from)[index]);
    case ElementType::bfloat16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(from)[index]);
    default:
      return static_cast<const float*>(from)[index];
  }
}

__device__ void storeAny(ElementType type, void* to, long long index, float value) {
  switch (type) {
    case ElementType::float16:
      static_cast<__half*>(to)[index] = __float2half_rn(value);
      break;
    case ElementType::bfloat16:
      static_cast<__nv_bfloat16*>(to)[index] = __float2bfloat16_rn(value);
      break;
    default:
      static_cast<float*>(to)[index] = value;
  }
}

// The first row and column of this block's tile.
__device__ void findTile(long long columns, long long& row, long long& column) {
  const long long across = (columns + convertTile - 1) / convertTile;
  row = blockIdx.x / across * convertTile;
  column = blockIdx.x % across * convertTile;
}

// Codes packed from the low bits of each byte on.
__device__ float code(const unsigned char* row, int bits, long long index) {
  return bits == 8 ? row[index] : row[index / 2] >> (index % 2 * 4) & 15;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(threads) convert(const __grid_constant__ ConvertParameters p) {
  waitForPredecessor();
  // One column more, so that a column of the tile lies in as many banks as a row.
  __shared__ float tile[convertTile][convertTile + 1];
  long long row;
  long long column;
  findTile(p.columns, row, column);
  const int x = threadIdx.x % convertTile;
  const int first = threadIdx.x / convertTile;
  // Neighbours in the source are read by neighbouring threads, whichever way it lies.
  for (int y = first; y < convertTile; y += convertTileRows) {
    if (p.transposed != 0) {
      if (column + y < p.columns && row + x < p.rows)
        tile[x][y] = loadAny(p.inType, p.in, (column + y) * p.rows + row + x);
    } else if (row + y < p.rows && column + x < p.columns) {
      tile[y][x] = loadAny(p.inType, p.in, (row + y) * p.columns + column + x);
    }
  }
  __syncthreads();
  for (int y = first; y < convertTile; y += convertTileRows)
    if (row + y < p.rows && column + x < p.columns)
      storeAny(p.outType, p.out, (row + y) * p.columns + column + x, tile[y][x]);
}

extern "C" __global__ void __launch_bounds__(threads) dequantize(const __grid_constant__ DequantizeParameters p) {
  waitForPredecessor();
  const long long blocks = (p.columns + p.block - 1) / p.block;
  const long long rowBytes = blocks * p.block * p.bits / 8;
  const long long zeroPointBytes = (blocks * p.bits + 7) / 8;
  long long firstRow;
  long long firstColumn;
  findTile(p.columns, firstRow, firstColumn);
  const long long column = firstColumn + threadIdx.x % convertTile;
  if (column >= p.columns) return;
  const long long block = column / p.block;
  for (int y = threadIdx.x / convertTile; y < convertTile; y += convertTileRows) {
    const long long row = firstRow + y;
    if (row >= p.rows) return;
    const long long at = row * blocks + block;
    float zeroPoint = static_cast<float>(p.zeroPoint);
    if (p.zeroPoints != nullptr) {
      zeroPoint = p.packedZeroPoints != 0
                      ? code(static_cast<const unsigned char*>(p.zeroPoints) + row * zeroPointBytes, p.bits, block)
                      : loadAny(p.zeroPointType, p.zeroPoints, at);
    }
    const float value = code(p.codes + row * rowBytes, p.bits, column);
    storeAny(p.outType, p.out, row * p.columns + column, (value - zeroPoint) * loadAny(p.scaleType, p.scales, at));
  }
}
