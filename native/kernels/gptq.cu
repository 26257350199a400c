// Codes by GPTQ (Frantar et al. 2022), some columns at a time: a warp has a row, a lane every 32nd column of it. Scales
// are chosen as native/quantize/scale.cc chooses them.
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "device/intrinsics.cuh"
#include "device/reduce.cuh"
#include "geometry.h"
#include "gptq_geometry.h"
#include "gptq_parameters.h"

namespace tensorrt_node::kernels {

namespace {

constexpr int registers = gptqColumns / 32;
// Candidates of scales give the largest value a code up to this many tenths below and above the last one.
constexpr int steps = 9;
constexpr float largestFloat = 3.402823466e38F;

struct Scale {
  float value;
  float zero;
};

__device__ float nearestInteger(float value) {
  return rintf(value);
}
__device__ float clamped(float value, float low, float high) {
  return fminf(fmaxf(value, low), high);
}

// One row's values of the columns at hand.
class Row {
 public:
  __device__ explicit Row(const GptqParameters& parameters) : p(parameters) {}

  float values[registers];

  // Of a block that begins with a lane's column.
  __device__ Scale choose(int begin, int end) const {
    float smallest = 0;
    float largest = 0;
#pragma unroll
    for (int i = 0; i < registers; ++i) {
      if (!has(i, begin, end)) continue;
      smallest = fminf(smallest, values[i]);
      largest = fmaxf(largest, values[i]);
    }
    smallest = -reduceWarp(-smallest, Largest{});
    largest = reduceWarp(largest, Largest{});
    return p.kind == GptqCodes::symmetric ? symmetric(begin, end, smallest, largest)
                                          : withZeroPoint(begin, end, smallest, largest);
  }

  __device__ float rounded(float scale) const {
    return __half2float(__float2half_rn(scale * p.scaling)) / p.scaling;
  }

 private:
  struct Products {
    float valueCode;
    float codeCode;
    __device__ float explained() const { return codeCode > 0 ? valueCode * valueCode / codeCode : 0; }
  };

  __device__ static bool has(int i, int begin, int end) {
    const int column = static_cast<int>(threadIdx.x) % 32 + 32 * i;
    return column >= begin && column < end;
  }

  // Sums of value * code and code * code, of codes less their zero.
  __device__ Products products(int begin, int end, float inverse, float low, float high) const {
    Products sum{0, 0};
#pragma unroll
    for (int i = 0; i < registers; ++i) {
      // The same for all lanes.
      if (32 * i >= end || 32 * i + 32 <= begin) continue;
      if (!has(i, begin, end)) continue;
      const float code = clamped(nearestInteger(values[i] * inverse), low, high);
      sum.valueCode += values[i] * code;
      sum.codeCode += code * code;
    }
    return {reduceWarp(sum.valueCode, Add{}), reduceWarp(sum.codeCode, Add{})};
  }

  __device__ Scale symmetric(int begin, int end, float smallest, float largest) const {
    const float half = static_cast<float>(1 << (p.bits - 1));
    const float signedLargest = -smallest > largest ? smallest : largest;
    // The largest value gets the code that has no opposite.
    float scale = -signedLargest / half;
    float best = 0;
    for (int step = -steps; p.search != 0 && signedLargest != 0 && step <= steps; ++step) {
      const float inverse = -(half + 0.1F * static_cast<float>(step)) / signedLargest;
      if (!(fabsf(inverse) <= largestFloat)) continue;
      const Products found = products(begin, end, inverse, -half, half - 1);
      if (found.explained() <= best) continue;
      best = found.explained();
      scale = found.valueCode / found.codeCode;
    }
    return {rounded(scale), half};
  }

  __device__ Scale withZeroPoint(int begin, int end, float smallest, float largest) const {
    const float top = static_cast<float>((1 << p.bits) - 1);
    const float range = largest - smallest;
    if (range == 0) return {0, 0};
    Scale chosen{range / top, clamped(nearestInteger(-smallest * (top / range)), 0, top)};
    float best = 0;
    for (int step = -steps; p.search != 0 && step <= steps; ++step) {
      const float inverse = (top + 0.1F * static_cast<float>(step)) / range;
      if (!(fabsf(inverse) <= largestFloat)) continue;
      const float down = floorf(-smallest * inverse);
      for (int up = 0; up < 2; ++up) {
        const float zero = clamped(down + static_cast<float>(up), 0, top);
        const Products found = products(begin, end, inverse, -zero, top - zero);
        if (found.explained() <= best) continue;
        best = found.explained();
        chosen = {found.valueCode / found.codeCode, zero};
      }
    }
    return {rounded(chosen.value), chosen.zero};
  }

  const GptqParameters& p;
};

struct Code {
  std::uint8_t bits;
  // What it stands for.
  float value;
};

__device__ Code nearestCode(const GptqParameters& p, const Scale& scale, float value) {
  const float quotient = scale.value == 0 ? 0 : value / scale.value;
  if (p.kind == GptqCodes::float8) {
    const __nv_fp8_storage_t bits = __nv_cvt_float_to_fp8(quotient, __NV_SATFINITE, __NV_E4M3);
    return {bits, __half2float(__half(__nv_cvt_fp8_to_halfraw(bits, __NV_E4M3))) * scale.value};
  }
  if (p.kind == GptqCodes::int8) {
    const float code = nearestInteger(clamped(quotient, -127, 127));
    return {static_cast<std::uint8_t>(static_cast<int>(code)), code * scale.value};
  }
  const float top = static_cast<float>((1 << p.bits) - 1);
  const float code = nearestInteger(clamped(quotient, -scale.zero, top - scale.zero));
  return {static_cast<std::uint8_t>(static_cast<int>(code + scale.zero)), code * scale.value};
}

}  // namespace

}  // namespace tensorrt_node::kernels

using namespace tensorrt_node::kernels;

extern "C" __global__ void __launch_bounds__(gptqWarps * 32) gptq(const __grid_constant__ GptqParameters p) {
  letSuccessorBegin();
  waitForPredecessor();
  float* const upper = static_cast<float*>(launchedShared());
  const int width = min(gptqColumns, p.columns - p.first);
  for (int at = threadIdx.x; at < gptqColumns * gptqColumns; at += gptqWarps * 32) {
    const int row = at / gptqColumns;
    const int column = at % gptqColumns;
    const bool exists = row < column && column < width;
    upper[at] = exists ? p.upper[static_cast<long long>(p.first + row) * p.columns + p.first + column] : 0;
  }
  __syncthreads();
  const long long row = static_cast<long long>(blockIdx.x) * gptqWarps + threadIdx.x / 32;
  if (row >= p.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const long long begin = row * p.columns + p.first;
  const int blocks = p.block == 0 ? 1 : divideUp(p.columns, p.block);

  Row target(p);
  float weights[registers];
  float lost[registers] = {};
#pragma unroll
  for (int i = 0; i < registers; ++i) {
    const int column = lane + 32 * i;
    weights[i] = column < width ? p.weights[begin + column] : 0;
    target.values[i] = column < width ? p.targets[begin + column] : 0;
  }
  Scale scale{p.block == 0 ? p.scales[row] : 0, 0};
#pragma unroll
  for (int i = 0; i < registers; ++i) {
    for (int from = 0; from < 32 && 32 * i + from < width; ++from) {
      const int column = 32 * i + from;
      if (p.block != 0 && column % p.block == 0) {
        scale = target.choose(column, min(column + p.block, width));
        if (lane == 0) {
          const long long at = row * blocks + (p.first + column) / p.block;
          p.scales[at] = scale.value;
          if (p.zeroPoints != nullptr) p.zeroPoints[at] = static_cast<std::uint8_t>(static_cast<int>(scale.zero));
        }
      }
      const Code code = nearestCode(p, scale, __shfl_sync(0xFFFFFFFF, target.values[i], from));
      const float loss = __shfl_sync(0xFFFFFFFF, weights[i], from) - code.value;
      if (lane == from) {
        p.codes[begin + column] = code.bits;
        lost[i] = loss;
      }
#pragma unroll
      for (int after = i; after < registers; ++after)
        target.values[after] += loss * upper[column * gptqColumns + lane + 32 * after];
    }
  }
#pragma unroll
  for (int i = 0; i < registers; ++i) p.lost[row * gptqColumns + lane + 32 * i] = lost[i];
}
