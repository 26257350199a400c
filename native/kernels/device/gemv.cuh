// Products of one or two rows with a weight, bound by reading it: a warp takes rows of the weight from end to end, and
// always has the next ones on their way. What a block begins with is asked for before the predecessor is done.
#pragma once

#include "../geometry.h"
#include "../parameters.h"
#include "../workspace.h"
#include "activation.cuh"
#include "element.cuh"
#include "reduce.cuh"

namespace tensorrt_node::kernels {

// `rows` of x at most, `vectors` rows of the weight at once: gated, a gate and its up.
template <typename T, int rows, int vectors, bool normed>
class Gemv {
 public:
  __device__ explicit Gemv(const LinearParameters& parameters)
      : p(parameters), padded_(gemvPaddedVectors(unit, p.inner)), x_(launchedShared()) {
    const int tasks = p.outer / vectors;
    // A block's warps are far apart, so that what is left over is spread over all blocks.
    const int workers = gridDim.x * gemvWarps;
    const int worker = threadIdx.x / 32 * gridDim.x + blockIdx.x;
    const int rest = tasks % workers;
    task_ = worker * (tasks / workers) + min(worker, rest);
    tasks_ = tasks / workers + (worker < rest ? 1 : 0);
    left_ = tasks_ * divideUp(p.inner, unitElements);
    loadTask_ = task_;
    loadsLeft_ = left_;
    setLoadRows();
  }

  __device__ void run() {
#pragma unroll
    for (int slot = 0; slot < gemvUnits; ++slot) loadUnit(slot);
    Vector<T> norms[batch];
    loadNorms(norms, threadIdx.x);
    waitForPredecessor();
    beginTask();
    stage(norms);
    __syncthreads();
    findFactor();
    while (left_ > 0) {
#pragma unroll
      for (int slot = 0; slot < gemvUnits; ++slot)
        if (left_ > 0) step(slot);
    }
  }

 private:
  static constexpr int unit = gemvUnit / vectors;
  static constexpr int runElements = 32 * elementsPerVector;
  static constexpr int unitElements = unit * runElements;
  // Vectors of each row of x that a thread has on their way.
  static constexpr int batch = 4 / rows;

  __device__ int outerOf(int task, int v) const {
    return task + v * (p.outer / vectors);
  }
  __device__ const T* weightRow(int outer) const {
    return static_cast<const T*>(p.weight) + static_cast<std::size_t>(outer) * p.inner;
  }

  __device__ void setLoadRows() {
#pragma unroll
    for (int v = 0; v < vectors; ++v) loadRow_[v] = weightRow(min(outerOf(loadTask_, v), p.outer - 1)) + lane_ * 8;
  }
  __device__ void loadUnit(int slot) {
#pragma unroll
    for (int run = 0; run < unit; ++run) {
      const int i = loadAt_ + run * runElements;
      const bool exists = loadsLeft_ > 0 && i + lane_ * elementsPerVector < p.inner;
#pragma unroll
      for (int v = 0; v < vectors; ++v)
        onTheWay_[slot][run][v] = exists ? loadOnce(loadRow_[v] + i) : make_uint4(0, 0, 0, 0);
    }
    --loadsLeft_;
    loadAt_ += unitElements;
    if (loadAt_ < p.inner) return;
    loadAt_ = 0;
    ++loadTask_;
    setLoadRows();
  }

  __device__ void loadNorms(Vector<T> (&norms)[batch], int first) const {
    if constexpr (normed) {
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        const int at = (first + i * gemvWarps * 32) * elementsPerVector;
        norms[i] = at < p.inner ? loadVector(static_cast<const T*>(p.normWeight) + at) : Vector<T>();
      }
    }
  }
  // x to shared memory, and the sums of its squares.
  __device__ void stage(Vector<T> (&norms)[batch]) {
    float squares[rows] = {};
    for (int first = threadIdx.x; first < padded_; first += batch * gemvWarps * 32) {
      Vector<T> x[rows][batch];
#pragma unroll
      for (int row = 0; row < rows; ++row)
#pragma unroll
        for (int i = 0; i < batch; ++i) {
          const int at = (first + i * gemvWarps * 32) * elementsPerVector;
          if (row < p.rows && at < p.inner)
            x[row][i] = loadVector(static_cast<const T*>(p.x) + static_cast<std::size_t>(row) * p.inner + at);
        }
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        const int at = first + i * gemvWarps * 32;
        if (at >= padded_) break;
#pragma unroll
        for (int row = 0; row < rows; ++row) {
          if constexpr (normed) {
            float values[elementsPerVector];
#pragma unroll
            for (int e = 0; e < elementsPerVector; ++e) {
              const float value = toFloat(x[row][i].elements[e]);
              squares[row] += value * value;
              values[e] = value * toFloat(norms[i].elements[e]);
            }
            // Apart, so that lanes that follow each other read what follows each other.
#pragma unroll
            for (int half = 0; half < 2; ++half)
              static_cast<float4*>(x_)[(2 * row + half) * padded_ + at] =
                  make_float4(values[4 * half], values[4 * half + 1], values[4 * half + 2], values[4 * half + 3]);
          } else {
            static_cast<uint4*>(x_)[row * padded_ + at] = x[row][i].bits;
          }
        }
      }
      loadNorms(norms, first + batch * gemvWarps * 32);
    }
    if constexpr (normed) {
#pragma unroll
      for (int row = 0; row < rows; ++row) {
        const float sum = reduceWarp(squares[row], Add{});
        if (lane_ == 0) squares_()[row * gemvWarps + threadIdx.x / 32] = sum;
      }
    }
  }
  // Of each warp, by row.
  __device__ static float* squares_() {
    __shared__ float squares[rows * gemvWarps];
    return squares;
  }
  __device__ void findFactor() {
    if constexpr (normed) {
      float sum = 0;
#pragma unroll
      for (int warp = 0; warp < gemvWarps; ++warp) sum += squares_()[min(row_, rows - 1) * gemvWarps + warp];
      factor_ = rsqrtf(sum / static_cast<float>(p.inner) + p.epsilon);
    }
  }

  __device__ bool isMine() const {
    return lane_ < rows * vectors && row_ < p.rows && outerOf(task_, v_) < p.outer && tasks_ > 0;
  }
  // What a result is added to, read while the sum is made.
  __device__ void beginTask() {
    bias_ = residual_ = fromFloat<T>(0);
    if (!isMine()) return;
    const int outer = outerOf(task_, v_);
    if (p.bias != nullptr) bias_ = static_cast<const T*>(p.bias)[outer];
    if (p.residual != nullptr)
      residual_ = static_cast<const T*>(p.residual)[static_cast<std::size_t>(row_) * p.outer + outer];
  }

  __device__ void step(int slot) {
#pragma unroll
    for (int run = 0; run < unit; ++run) {
      const int at = at_ / elementsPerVector + run * 32 + lane_;
      Vector<T> weight[vectors];
#pragma unroll
      for (int v = 0; v < vectors; ++v) weight[v] = Vector<T>(onTheWay_[slot][run][v]);
#pragma unroll
      for (int row = 0; row < rows; ++row) {
        float x[elementsPerVector];
        xAt(x, row, at);
#pragma unroll
        for (int v = 0; v < vectors; ++v)
#pragma unroll
          for (int e = 0; e < elementsPerVector; ++e) sums_[row][v] += toFloat(weight[v].elements[e]) * x[e];
      }
    }
    loadUnit(slot);
    --left_;
    at_ += unitElements;
    if (at_ < p.inner) return;
    finishTask();
    at_ = 0;
    ++task_;
    --tasks_;
    beginTask();
  }
  __device__ void xAt(float (&x)[elementsPerVector], int row, int at) const {
    if constexpr (normed) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float4 values = static_cast<const float4*>(x_)[(2 * row + half) * padded_ + at];
        x[4 * half] = values.x;
        x[4 * half + 1] = values.y;
        x[4 * half + 2] = values.z;
        x[4 * half + 3] = values.w;
      }
    } else {
      const Vector<T> values(static_cast<const uint4*>(x_)[row * padded_ + at]);
#pragma unroll
      for (int e = 0; e < elementsPerVector; ++e) x[e] = toFloat(values.elements[e]);
    }
  }

  __device__ void finishTask() {
    float value = 0;
#pragma unroll
    for (int row = 0; row < rows; ++row)
#pragma unroll
      for (int v = 0; v < vectors; ++v) {
        const float sum = reduceWarp(sums_[row][v], Add{});
        if (lane_ == row * vectors + v) value = sum;
        sums_[row][v] = 0;
      }
    if constexpr (normed) value *= factor_;
    value += toFloat(bias_) + toFloat(residual_);
    int width = p.outer;
    int column = outerOf(task_, v_);
    if constexpr (vectors == 2) {
      if (p.gated != 0) {
        value = activate(p.activation, value) * __shfl_xor_sync(0xFFFFFFFF, value, 1);
        width /= 2;
        column = task_;
      }
    }
    if (!isMine() || (p.gated != 0 && v_ != 0)) return;
    const std::size_t to = static_cast<std::size_t>(row_) * width + column;
    if (p.outputType == ElementType::float32)
      static_cast<float*>(p.y)[to] = value;
    else
      static_cast<T*>(p.y)[to] = fromFloat<T>(value);
  }

  const LinearParameters& p;
  const int lane_ = threadIdx.x % 32;
  // Of the sum that this lane stores.
  const int row_ = lane_ / vectors;
  const int v_ = lane_ % vectors;
  const int padded_;
  void* const x_;
  // Of the weight.
  uint4 onTheWay_[gemvUnits][unit][vectors];

  int loadTask_;
  int loadAt_ = 0;
  int loadsLeft_;
  const T* loadRow_[vectors];

  int task_;
  int tasks_;
  int at_ = 0;
  int left_;
  float sums_[rows][vectors] = {};
  float factor_ = 1;
  T bias_;
  T residual_;
};

template <typename T, int rows, int vectors, bool normed>
__device__ void gemv(const LinearParameters& p) {
  letSuccessorBegin();
  Gemv<T, rows, vectors, normed>(p).run();
}

}  // namespace tensorrt_node::kernels
