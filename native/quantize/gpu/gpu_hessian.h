// A layer's Hessian on the GPU: gathered, factorised, and used for GPTQ there. The numbers are those of hessian.h and
// gptq.h, sums in another order.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "cuda/device_pool.h"
#include "cuda/pinned_pool.h"
#include "cuda/stream.h"
#include "kernels/kernels.h"
#include "quantize/format.h"
#include "quantize/gptq.h"
#include "quantize/parallel.h"

namespace tensorrt_node::quantize {

// What it computes with. The pools outlive it.
struct GpuParts {
  std::shared_ptr<const cuda::Context> context;
  std::shared_ptr<const kernels::Kernels> kernels;
  cuda::DevicePool& pool;
  cuda::PinnedPool& pinned;
};

// For one thread at a time. All throw CudaError, and wait until the GPU is done.
class GpuHessian {
 public:
  // X^T X of no rows. Throws std::invalid_argument for a size that no kernel was made for.
  GpuHessian(GpuParts parts, std::int64_t size);

  std::int64_t size() const noexcept { return size_; }
  // Of `rows` [count, size]. Throws std::domain_error for rows that are not finite.
  void add(std::span<const float> rows);
  // The whole of it.
  void read(std::span<float> hessian);

  // Factorises it with `damping` on its diagonal, rows and columns in `order`, empty or a permutation; it can be done
  // again. Throws std::domain_error where the sum is not positive definite.
  void factorize(float damping, std::span<const std::int32_t> order = {});
  // V of factorize() in hessian.h.
  void readFactor(std::span<float> factor);
  // As gptq() without an order, which the factor must not have either. Blocks have 128 columns at most.
  void gptq(const GptqWeights& weights, const Format& format, const QuantizedRows& rows, const Threads& threads);

 private:
  class Rounding;

  float* at(const cuda::DeviceBlock& block) const noexcept { return reinterpret_cast<float*>(block.address()); }
  cuda::DeviceBlock floats(std::int64_t count) const;
  cuda::DeviceBlock matrix() const { return floats(size_ * size_); }
  // From and to ordinary memory.
  template <typename Value>
  void put(cuda::DeviceBlock& to, std::span<const Value> values) {
    putBytes(to, std::as_bytes(values));
  }
  template <typename Value>
  void take(std::span<Value> values, cuda::DeviceBlock& from) {
    takeBytes(std::as_writable_bytes(values), from);
  }
  void putBytes(cuda::DeviceBlock& to, std::span<const std::byte> bytes);
  void takeBytes(std::span<std::byte> bytes, cuda::DeviceBlock& from);

  GpuParts parts_;
  const std::int64_t size_;
  cuda::Stream stream_;
  cuda::PinnedBlock staging_;
  cuda::DeviceBlock hessian_;
  bool empty_ = true;
  // Of the last factorize().
  cuda::DeviceBlock upper_;
  cuda::DeviceBlock diagonal_;
};

}  // namespace tensorrt_node::quantize
