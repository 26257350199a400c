#include "read_speed.h"

#include <algorithm>
#include <cstdint>

#include "../cuda/copy.h"
#include "../cuda/event.h"
#include "../cuda/stream.h"
#include "launch.h"

namespace tensorrt_node::kernels {

namespace {

// Of the matrices: a large model's up and gate.
constexpr std::size_t inner = 4096;
constexpr std::size_t mostOuter = 28672;
// Over all matrices; the first does not count.
constexpr int rounds = 4;

}  // namespace

double weightReadsPerSecond(const std::shared_ptr<const cuda::Context>& context, cuda::DevicePool& pool,
                            const Kernels& kernels, std::size_t bytes) {
  const std::size_t rowBytes = inner * 2;
  const std::size_t outer = std::clamp<std::size_t>(bytes / rowBytes, 1, mostOuter);
  const std::size_t matrices = std::max<std::size_t>(bytes / (outer * rowBytes), 1);
  const cuda::Stream stream(context, "read speed");
  const auto zeros = [&](std::size_t count) {
    cuda::DeviceBlock block = pool.allocate(count, stream);
    cuda::fill(stream, block, 0, count, 0);
    return block;
  };
  cuda::DeviceBlock weights = zeros(matrices * outer * rowBytes);
  cuda::DeviceBlock x = zeros(rowBytes);
  cuda::DeviceBlock y = zeros(outer * 2);
  cuda::Event start(context, {.timing = true});
  cuda::Event end(context, {.timing = true});
  const cuda::Current current(*context);
  for (int round = 0; round < rounds; ++round) {
    if (round == 1) stream.record(start);
    for (std::size_t matrix = 0; matrix < matrices; ++matrix) {
      linear(kernels, stream.handle(), ElementType::float16,
             {.x = reinterpret_cast<const void*>(x.address()),
              .weight = reinterpret_cast<const void*>(weights.address() + matrix * outer * rowBytes),
              .bias = nullptr,
              .residual = nullptr,
              .y = reinterpret_cast<void*>(y.address()),
              .rows = 1,
              .inner = static_cast<std::int32_t>(inner),
              .outer = static_cast<std::int32_t>(outer),
              .outputType = ElementType::float16});
    }
  }
  stream.record(end);
  // Back to the pool, and known to be done there: such large blocks are of no use to others, and may be freed at once.
  for (cuda::DeviceBlock* const block : {&weights, &x, &y}) block->reset();
  stream.synchronize();
  // The resolution of events: no speed is infinite.
  const double seconds = std::max(1e-3 * static_cast<double>(end.millisecondsSince(start)), 5e-7);
  return static_cast<double>((rounds - 1) * matrices * outer * rowBytes) / seconds;
}

}  // namespace tensorrt_node::kernels
