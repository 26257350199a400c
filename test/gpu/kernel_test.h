// What the tests of kernels share: the GPU with memory for a case, random numbers, comparisons and verdicts.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/context.h"
#include "cuda/driver.h"
#include "cuda/stream.h"
#include "kernels/kernels.h"
#include "kernels/parameters.h"
#include "simulator/kernels/element.h"

namespace kernel_test {

namespace cuda = tensorrt_node::cuda;
using namespace tensorrt_node::kernels;
using simulator::kernels::Bfloat;
using simulator::kernels::Half;

// The GPU, a stream on it, and memory that lives as long as the case does.
class Gpu {
 public:
  Gpu() : current_(*context_) {}
  ~Gpu() { release(); }
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const Kernels& kernels() const { return *kernels_; }
  std::int32_t arrivals() const { return arrivals_.first(); }
  CUstream stream() const { return stream_.handle(); }
  const cuda::Stream& owner() const { return stream_; }

  // Filled with bytes that are NaN in every type: what is read without having been written shows.
  void* empty(std::size_t bytes) {
    CUdeviceptr address = 0;
    cuda::check(cuda::driver().cuMemAlloc(&address, std::max<std::size_t>(bytes, 16)), "cuMemAlloc");
    allocated_.push_back(address);
    cuda::check(cuda::driver().cuMemsetD8Async(address, 0xFF, std::max<std::size_t>(bytes, 16), stream()),
                "cuMemsetD8Async");
    return reinterpret_cast<void*>(address);
  }
  template <typename Value>
  Value* put(const std::vector<Value>& values) {
    void* memory = empty(values.size() * sizeof(Value));
    cuda::check(cuda::driver().cuMemcpyHtoDAsync(reinterpret_cast<CUdeviceptr>(memory), values.data(),
                                                 values.size() * sizeof(Value), stream()),
                "cuMemcpyHtoDAsync");
    stream_.synchronize();
    return static_cast<Value*>(memory);
  }
  template <typename Value>
  std::vector<Value> take(const void* memory, std::size_t count) {
    std::vector<Value> values(count);
    cuda::check(cuda::driver().cuMemcpyDtoHAsync(values.data(), reinterpret_cast<CUdeviceptr>(memory),
                                                 count * sizeof(Value), stream()),
                "cuMemcpyDtoHAsync");
    stream_.synchronize();
    return values;
  }
  void release() {
    for (const CUdeviceptr each : allocated_) cuda::driver().cuMemFree(each);
    allocated_.clear();
  }

 private:
  std::shared_ptr<const cuda::Context> context_ = cuda::Context::retain(0);
  cuda::Current current_;
  cuda::Stream stream_{context_, "kernels"};
  std::shared_ptr<const Kernels> kernels_ = Kernels::of(context_);
  // The first lease begins where memory does.
  Arrivals others_{kernels_};
  Arrivals arrivals_{kernels_};
  std::vector<CUdeviceptr> allocated_;
};

inline int failures = 0;
inline std::string filter;

inline void verdict(const std::string& name, bool passed, const std::string& detail = {}) {
  std::printf("%s %s%s%s\n", passed ? "PASS" : "FAIL", name.c_str(), detail.empty() ? "" : ": ", detail.c_str());
  std::fflush(stdout);
  if (!passed) ++failures;
}

inline std::mt19937 randomness(1);
// Every how many cases is this process's, and which of them.
inline int parts = 1;
inline int part = 0;

// Asked once by each case, which then has the same random numbers whatever else runs.
inline bool wanted(const std::string& name) {
  static int cases = 0;
  if (name.find(filter) == std::string::npos || cases++ % parts != part) return false;
  std::seed_seq seed(name.begin(), name.end());
  randomness.seed(seed);
  return true;
}

inline std::vector<float> normal(std::size_t count, float scale = 1) {
  std::normal_distribution<float> distribution(0, scale);
  std::vector<float> values(count);
  for (float& each : values) each = distribution(randomness);
  return values;
}

template <typename Element>
constexpr ElementType typeOf() {
  return std::is_same_v<Element, Half> ? ElementType::float16 : ElementType::bfloat16;
}
template <typename Element>
const char* nameOf() {
  return std::is_same_v<Element, Half> ? "float16" : "bfloat16";
}
// Of one rounding.
template <typename Element>
constexpr double unit() {
  return std::is_same_v<Element, Half> ? 1.0 / 2048 : 1.0 / 256;
}

template <typename Element>
std::vector<Element> rounded(const std::vector<float>& values) {
  std::vector<Element> out;
  out.reserve(values.size());
  for (const float value : values) out.push_back(Element::of(value));
  return out;
}

// The largest error in units of `tolerance` * (1 + |expected|), where it is, and whether it is at most one.
template <typename Element>
void compare(const std::string& name, const std::vector<Element>& actual, const std::vector<double>& expected,
             double tolerance) {
  double worst = 0;
  std::size_t at = 0;
  const auto value = [&](std::size_t i) {
    if constexpr (std::is_same_v<Element, float>)
      return static_cast<double>(actual[i]);
    else
      return static_cast<double>(actual[i].value());
  };
  for (std::size_t i = 0; i < expected.size(); ++i) {
    double error = std::abs(value(i) - expected[i]) / (tolerance * (1 + std::abs(expected[i])));
    if (!(error >= 0)) error = std::numeric_limits<double>::infinity();
    if (error > worst) {
      worst = error;
      at = i;
    }
  }
  char text[200];
  std::snprintf(text, sizeof text, "worst error %.3g of what is allowed, at %zu: %g for %g", worst, at,
                actual.empty() ? 0.0 : value(at), expected.empty() ? 0.0 : expected[at]);
  verdict(name, worst <= 1, text);
}

template <typename... Parts>
std::string text(Parts... parts) {
  std::string all;
  const auto add = [&](const auto& part) {
    if (!all.empty()) all += ' ';
    if constexpr (std::is_convertible_v<decltype(part), std::string>)
      all += part;
    else
      all += std::to_string(part);
  };
  (add(parts), ...);
  return all;
}

// E4M3: OCP 8-bit Floating Point Specification.
inline double float8Value(int code) {
  const int exponent = code >> 3 & 15;
  const double fraction = code & 7;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
  return code >= 128 ? -magnitude : magnitude;
}

inline double activated(Activation activation, double x) {
  if (activation == Activation::silu) return x / (1 + std::exp(-x));
  if (activation == Activation::geluErf) return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
  return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

inline void* zeros(Gpu& gpu, std::size_t bytes) {
  void* memory = gpu.empty(bytes);
  cuda::check(cuda::driver().cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(memory), 0, bytes, gpu.stream()),
              "cuMemsetD8Async");
  return memory;
}

// Cases of a file each.
void testGptq(Gpu& gpu);
void testQuantized(Gpu& gpu);
// And times.
void benchQuantized(Gpu& gpu);

}  // namespace kernel_test
