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

// One row's values of the columns at hand, of which a block's scale is chosen.
class Row {
 public:
  __device__ Row(const GptqParameters& parameters, const float (&weight)[registers]) : p(parameters), costs(weight) {}

  float values[registers];

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
  __device__ float rounded(float scale) const {
    return __half2float(__float2half_rn(scale * p.scaling)) / p.scaling;
  }

  // Sums of cost * value * code and cost * code * code, of codes less their zero.
  __device__ Products products(int begin, int end, float inverse, float low, float high) const {
    Products sum{0, 0};
#pragma unroll
    for (int i = 0; i < registers; ++i) {
      // The same for all lanes.
      if (32 * i >= end || 32 * i + 32 <= begin) continue;
      if (!has(i, begin, end)) continue;
      const float code = clamped(nearestInteger(values[i] * inverse), low, high);
      sum.valueCode += costs[i] * values[i] * code;
      sum.codeCode += costs[i] * code * code;
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
  const float (&costs)[registers];
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

  float weights[registers];
  float targets[registers];
  float costs[registers];
  float lost[registers] = {};
#pragma unroll
  for (int i = 0; i < registers; ++i) {
    const int column = lane + 32 * i;
    weights[i] = column < width ? p.weights[begin + column] : 0;
    targets[i] = column < width ? p.targets[begin + column] : 0;
    costs[i] = column < width ? p.diagonal[p.first + column] : 0;
  }
  // What is lost in a column, of those after it.
  const auto makeUp = [&](float(&values)[registers], int column, float loss) {
#pragma unroll
    for (int i = 0; i < registers; ++i)
      if (32 * i + 31 > column) values[i] += loss * upper[column * gptqColumns + lane + 32 * i];
  };
  const auto valueAt = [](const float(&values)[registers], int column) {
    float value = 0;
#pragma unroll
    for (int i = 0; i < registers; ++i)
      if (column / 32 == i) value = __shfl_sync(0xFFFFFFFF, values[i], column % 32);
    return value;
  };
  Scale scale{p.block == 0 ? p.scales[row] : 0, 0};
  for (int column = 0; column < width; ++column) {
    if (p.block != 0 && column % p.block == 0) {
      const int end = min(column + p.block, width);
      // For the weights that would be best if the block's own were not rounded.
      Row best(p, costs);
#pragma unroll
      for (int i = 0; i < registers; ++i) best.values[i] = targets[i];
      for (int at = column; at < end; ++at) makeUp(best.values, at, valueAt(weights, at) - valueAt(best.values, at));
      scale = best.choose(column, end);
      if (lane == 0) {
        const long long at = row * blocks + (p.first + column) / p.block;
        p.scales[at] = scale.value;
        if (p.zeroPoints != nullptr) p.zeroPoints[at] = static_cast<std::uint8_t>(static_cast<int>(scale.zero));
      }
    }
    const Code code = nearestCode(p, scale, valueAt(targets, column));
    const float loss = valueAt(weights, column) - code.value;
    if (lane == column % 32) p.codes[begin + column] = code.bits;
#pragma unroll
    for (int i = 0; i < registers; ++i)
      if (lane + 32 * i == column) lost[i] = loss;
    makeUp(targets, column, loss);
  }
#pragma unroll
  for (int i = 0; i < registers; ++i) p.lost[row * gptqColumns + lane + 32 * i] = lost[i];
}
