#include "gpu_hessian.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cuda/copy.h"
#include "kernels/gptq.h"
#include "kernels/gptq_geometry.h"
#include "quantize/round_to_nearest.h"
#include "quantize/scale.h"

namespace tensorrt_node::quantize {
namespace {

// Rows of a weight that are on the GPU at once.
constexpr std::int64_t kRowsAtOnce = 4096;
// Bytes of inputs that are, and of pinned memory that all goes through.
constexpr std::int64_t kInputBytes = std::int64_t{256} << 20;
constexpr std::size_t kStagingBytes = std::size_t{32} << 20;

std::int32_t narrow(std::int64_t value) {
  return static_cast<std::int32_t>(value);
}
std::size_t count(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

bool isFinite(float value) {
  return std::fabs(value) <= std::numeric_limits<float>::max();
}

kernels::GptqCodes codesOf(CodeKind kind) {
  switch (kind) {
    case CodeKind::symmetric:
      return kernels::GptqCodes::symmetric;
    case CodeKind::zeroPoints:
      return kernels::GptqCodes::zeroPoints;
    case CodeKind::int8Rows:
      return kernels::GptqCodes::int8;
    case CodeKind::float8Rows:
      return kernels::GptqCodes::float8;
  }
  throw std::invalid_argument("no kind of codes");
}

}  // namespace

GpuHessian::GpuHessian(GpuParts parts, std::int64_t size)
    : parts_(std::move(parts)), size_(size), stream_(parts_.context, "quantize") {
  if (size <= 0 || size > 65535) throw std::invalid_argument("a Hessian on the GPU has 1 to 65535 rows");
  staging_ = parts_.pinned.allocate(std::min(kStagingBytes, count(size * size) * sizeof(float)));
  hessian_ = matrix();
}

void GpuHessian::putBytes(cuda::DeviceBlock& to, std::span<const std::byte> bytes) {
  for (std::size_t done = 0; done < bytes.size(); done += staging_.size()) {
    const auto some = bytes.subspan(done, std::min(staging_.size(), bytes.size() - done));
    std::memcpy(staging_.data(), some.data(), some.size());
    cuda::copyToDevice(stream_, to, done, staging_, 0, some.size());
    // The next piece takes its place.
    stream_.synchronize();
  }
}

void GpuHessian::takeBytes(std::span<std::byte> bytes, cuda::DeviceBlock& from) {
  for (std::size_t done = 0; done < bytes.size(); done += staging_.size()) {
    const auto some = bytes.subspan(done, std::min(staging_.size(), bytes.size() - done));
    cuda::copyToHost(stream_, staging_, 0, from, done, some.size());
    stream_.synchronize();
    std::memcpy(some.data(), staging_.data(), some.size());
  }
}

cuda::DeviceBlock GpuHessian::floats(std::int64_t elements) const {
  return parts_.pool.allocate(count(elements) * sizeof(float), stream_);
}

void GpuHessian::add(std::span<const float> rows) {
  const auto all = static_cast<std::int64_t>(rows.size()) / size_;
  if (count(all * size_) != rows.size()) throw std::invalid_argument("rows have another size");
  if (!std::all_of(rows.begin(), rows.end(), isFinite)) throw std::domain_error("is given numbers that are not finite");
  const cuda::Current current(*parts_.context);
  const std::int64_t most = std::max<std::int64_t>(1, kInputBytes / (size_ * static_cast<std::int64_t>(sizeof(float))));
  cuda::DeviceBlock inputs = floats(std::min(most, all) * size_);
  for (std::int64_t first = 0; first < all; first += most) {
    const std::int64_t some = std::min(most, all - first);
    put(inputs, rows.subspan(count(first * size_), count(some * size_)));
    kernels::addToHessian(*parts_.kernels, stream_.handle(), at(inputs), narrow(some), narrow(size_), at(hessian_),
                          std::exchange(empty_, false));
  }
  stream_.synchronize();
}

void GpuHessian::read(std::span<float> hessian) {
  if (hessian.size() != count(size_ * size_)) throw std::invalid_argument("a Hessian is square");
  std::fill(hessian.begin(), hessian.end(), 0.0F);
  if (!empty_) take(hessian, hessian_);
  for (std::int64_t row = 0; row < size_; ++row)
    for (std::int64_t column = 0; column < row; ++column)
      hessian[count(column * size_ + row)] = hessian[count(row * size_ + column)];
}

void GpuHessian::factorize(float damping, std::span<const std::int32_t> order) {
  if (!order.empty() && order.size() != count(size_)) throw std::invalid_argument("an order names each row once");
  const cuda::Current current(*parts_.context);
  if (std::exchange(empty_, false)) cuda::fill(stream_, hessian_, 0, hessian_.size(), 0);
  upper_ = matrix();
  diagonal_ = floats(size_);
  cuda::DeviceBlock factor = matrix();
  cuda::DeviceBlock failures = parts_.pool.allocate(sizeof(std::int32_t), stream_);
  cuda::fill(stream_, failures, 0, failures.size(), 0);
  cuda::DeviceBlock places;
  if (!order.empty()) {
    places = parts_.pool.allocate(order.size_bytes(), stream_);
    put(places, order);
  }
  kernels::factorHessian(*parts_.kernels, stream_.handle(),
                         {.hessian = at(hessian_),
                          .reversed = at(factor),
                          .order = reinterpret_cast<const std::int32_t*>(places.address()),
                          .size = narrow(size_),
                          .damping = damping},
                         at(upper_), at(diagonal_), reinterpret_cast<std::int32_t*>(failures.address()));
  std::int32_t failed = 0;
  take(std::span(&failed, 1), failures);
  if (failed != 0) {
    upper_.reset();
    throw std::domain_error("has a Hessian that is not positive definite");
  }
}

void GpuHessian::readFactor(std::span<float> factor) {
  if (!upper_ || factor.size() != count(size_ * size_)) throw std::invalid_argument("there is no factor of that size");
  take(factor, upper_);
  std::vector<float> roots(count(size_));
  take(std::span(roots), diagonal_);
  for (float& each : roots) each = std::sqrt(each);
  for (std::int64_t row = 0; row < size_; ++row) {
    float* const line = factor.data() + row * size_;
    std::fill_n(line, row, 0.0F);
    line[row] = roots[count(row)];
    for (std::int64_t column = row + 1; column < size_; ++column) line[column] *= roots[count(column)];
  }
}

// Some rows of a weight, from the host and back.
class GpuHessian::Rounding {
 public:
  Rounding(GpuHessian& hessian, const GptqWeights& weights, const Format& format, const QuantizedRows& rows,
           const Threads& threads)
      : hessian_(hessian),
        weights_(weights),
        format_(format),
        rows_(rows),
        threads_(threads),
        inner_(weights.inner),
        blocks_(format.blocks(weights.inner)),
        most_(std::min(kRowsAtOnce, weights.outer)),
        there_(hessian.floats(most_ * inner_)),
        targets_(hessian.floats(most_ * inner_)),
        lost_(hessian.floats(most_ * kernels::gptqColumns)),
        scales_(hessian.floats(most_ * blocks_)),
        codes_(hessian.parts_.pool.allocate(count(most_ * inner_), hessian.stream_)),
        zeroPoints_(hessian.parts_.pool.allocate(count(most_ * blocks_), hessian.stream_)) {}

  void round() {
    for (std::int64_t first = 0; first < weights_.outer; first += most_) {
      if (threads_.stopped()) throw StoppedError();
      roundSome(first, std::min(most_, weights_.outer - first));
    }
  }

 private:
  std::span<float> row(std::int64_t at) const { return weights_.values.subspan(count(at * inner_), count(inner_)); }
  // Of this thread's part of some rows.
  void eachRow(std::int64_t first, std::int64_t some, const std::function<void(std::int64_t)>& work) const {
    parallelFor(threads_, (some + kRowsAtATime - 1) / kRowsAtATime, [&](std::int64_t chunk) {
      const std::int64_t end = std::min(some, (chunk + 1) * kRowsAtATime);
      for (std::int64_t each = chunk * kRowsAtATime; each < end; ++each) work(first + each);
    });
  }

  void roundSome(std::int64_t first, std::int64_t some) {
    std::vector<float> given(count(some * blocks_));
    eachRow(first, some, [&](std::int64_t at) {
      const std::span<const float> values = row(at);
      if (!std::all_of(values.begin(), values.end(), isFinite))
        throw std::domain_error("row " + std::to_string(at) + " holds a number that is not finite");
      if (format_.wholeRows()) given[count(at - first)] = ScaleChooser(format_).choose(values).value;
    });
    const cuda::Stream& stream = hessian_.stream_;
    const auto values = std::span<const float>(weights_.values).subspan(count(first * inner_), count(some * inner_));
    hessian_.put(there_, values);
    cuda::copyOnDevice(stream, targets_, 0, there_, 0, values.size_bytes());
    if (format_.wholeRows()) hessian_.put(scales_, std::span<const float>(given));
    auto* const zeroPoints = reinterpret_cast<std::uint8_t*>(zeroPoints_.address());
    kernels::gptq(*hessian_.parts_.kernels, stream.handle(),
                  {.weights = hessian_.at(there_),
                   .targets = hessian_.at(targets_),
                   .upper = hessian_.at(hessian_.upper_),
                   .diagonal = hessian_.at(hessian_.diagonal_),
                   .lost = hessian_.at(lost_),
                   .codes = reinterpret_cast<std::uint8_t*>(codes_.address()),
                   .scales = hessian_.at(scales_),
                   .zeroPoints = format_.kind == CodeKind::zeroPoints ? zeroPoints : nullptr,
                   .rows = narrow(some),
                   .columns = narrow(inner_),
                   .first = 0,
                   .bits = format_.bits,
                   .block = format_.wholeRows() ? 0 : narrow(format_.block),
                   .search = format_.search ? 1 : 0,
                   .scaling = format_.scales == FloatType::float16 ? 1.0F : 1024.0F,
                   .kind = codesOf(format_.kind)});
    std::vector<std::uint8_t> codes(count(some * inner_));
    std::vector<float> scales(count(some * blocks_));
    std::vector<std::uint8_t> zeros(format_.kind == CodeKind::zeroPoints ? scales.size() : 0);
    hessian_.take(std::span(codes), codes_);
    hessian_.take(std::span(scales), scales_);
    hessian_.take(std::span(zeros), zeroPoints_);
    eachRow(first, some, [&](std::int64_t at) { pack(at, at - first, codes, scales, zeros); });
  }

  void pack(std::int64_t at, std::int64_t place, std::span<const std::uint8_t> codes, std::span<const float> scales,
            std::span<const std::uint8_t> zeros) const {
    std::vector<Scale> own(count(blocks_));
    for (std::int64_t block = 0; block < blocks_; ++block) {
      const std::size_t from = count(place * blocks_ + block);
      if (!isFinite(scales[from]))
        throw std::domain_error("row " + std::to_string(at) + " holds numbers too large for a scale in half precision");
      const int middle = format_.kind == CodeKind::symmetric ? 1 << (format_.bits - 1) : 0;
      own[count(block)] = {scales[from], zeros.empty() ? middle : zeros[from]};
    }
    const auto mine = codes.subspan(count(place * inner_), count(inner_));
    const std::span<float> values = row(at);
    const std::int64_t block = format_.blockOf(inner_);
    for (std::int64_t column = 0; column < inner_; ++column)
      values[count(column)] = valueOf(format_, own[count(column / block)], mine[count(column)]);
    packRow(format_, mine, own, at, rows_);
  }

  GpuHessian& hessian_;
  const GptqWeights& weights_;
  const Format& format_;
  const QuantizedRows& rows_;
  const Threads& threads_;
  const std::int64_t inner_;
  const std::int64_t blocks_;
  const std::int64_t most_;
  cuda::DeviceBlock there_;
  cuda::DeviceBlock targets_;
  cuda::DeviceBlock lost_;
  cuda::DeviceBlock scales_;
  cuda::DeviceBlock codes_;
  cuda::DeviceBlock zeroPoints_;
};

void GpuHessian::gptq(const GptqWeights& weights, const Format& format, const QuantizedRows& rows,
                      const Threads& threads) {
  checkRows(format, weights.outer, weights.inner, rows);
  if (weights.inner != size_ || weights.values.size() != count(weights.outer * weights.inner) || !upper_)
    throw std::invalid_argument("weights and factor have sizes that do not fit one another");
  const cuda::Current current(*parts_.context);
  if (weights.outer > 0) Rounding(*this, weights, format, rows, threads).round();
}

}  // namespace tensorrt_node::quantize
