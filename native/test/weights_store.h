// A model of numbered bytes for tests of the store: files, matrices, runs, and steps that compare what they are given.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "cuda/stream.h"
#include "engines.h"
#include "simulated.h"
#include "temporary_folder.h"
#include "weights/matrix.h"
#include "weights/store.h"

namespace test {

// Halves of 1, 2, 3 and so on, so that conversions of them are exact.
inline std::uint16_t halfOf(unsigned number) {
  const unsigned value = number % 1024 + 1;
  unsigned exponent = 0;
  while (value >> (exponent + 1) != 0) ++exponent;
  return static_cast<std::uint16_t>((exponent + 15) << 10 | ((value << (10 - exponent)) & 1023));
}

struct StoreModel {
  using Form = tensorrt_node::weights::Form;

  // Rows of 8 halves. As floats and transposed, it needs conversion.
  void add(std::size_t rows, bool converted = false) {
    namespace weights = tensorrt_node::weights;
    using tensorrt_node::kernels::ElementType;
    constexpr std::size_t columns = 8;
    const unsigned first = static_cast<unsigned>(matrices.size()) * 37;
    std::vector<std::uint16_t> halves(rows * columns);
    std::string stored;
    for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = halfOf(first + static_cast<unsigned>(i));
    if (converted) {
      for (std::size_t column = 0; column < columns; ++column)
        for (std::size_t row = 0; row < rows; ++row) {
          const auto value = static_cast<float>((first + row * columns + column) % 1024 + 1);
          stored.append(reinterpret_cast<const char*>(&value), sizeof value);
        }
    } else {
      stored.assign(reinterpret_cast<const char*>(halves.data()), halves.size() * 2);
    }
    // Unaligned, and some with a gap.
    bytes.append(matrices.size() % 3, 'g');
    weights::Piece piece;
    piece.form = converted ? Form::transposed : Form::plain;
    piece.stored = converted ? ElementType::float32 : ElementType::float16;
    piece.rows = static_cast<std::int64_t>(rows);
    piece.values = {.path = path(), .offset = bytes.size(), .bytes = stored.size(), .inlined = nullptr};
    bytes += stored;
    matrices.push_back(
        {.name = "w", .type = ElementType::float16, .columns = static_cast<std::int64_t>(columns), .pieces = {piece}});
    expected.push_back(std::move(halves));
  }
  void run(std::vector<std::size_t> weights, tensorrt_node::weights::Tier tier) {
    runs.push_back({.weights = std::move(weights), .tier = tier});
  }
  void write() const { static_cast<void>(folder->write("model", bytes)); }
  std::string path() const { return folder->file("model"); }

  std::unique_ptr<tensorrt_node::weights::Store> load(const tensorrt_node::tensorrt::DeviceMemory& memory,
                                                      const tensorrt_node::weights::StoreOptions& options = {}) const {
    return tensorrt_node::weights::Store::load(memory, matrices, runs, options, nullptr, {});
  }

  std::unique_ptr<const TemporaryFolder> folder = std::make_unique<const TemporaryFolder>();
  std::string bytes;
  std::vector<tensorrt_node::weights::Matrix> matrices;
  std::vector<tensorrt_node::weights::StoreRun> runs;
  std::vector<std::vector<std::uint16_t>> expected;
};

// What steps found, when it was their turn on the stream.
struct Compared {
  std::atomic<int> right = 0;
  std::atomic<int> wrong = 0;
};

// Queues a kernel that reads a run's weights.
inline void compare(const StoreModel& model, const tensorrt_node::weights::StepWeights& store, std::size_t run,
                    const tensorrt_node::cuda::Stream& compute, const std::shared_ptr<Compared>& compared,
                    std::uint64_t nanoseconds = 0) {
  struct Data {
    std::vector<std::pair<const void*, const std::vector<std::uint16_t>*>> weights;
    std::shared_ptr<Compared> compared;
  };
  auto data = std::make_unique<Data>();
  data->compared = compared;
  std::vector<SimulatorRange> ranges;
  for (const std::size_t weight : model.runs[run].weights) {
    const auto* address = reinterpret_cast<const void*>(store.address(run, weight));
    data->weights.emplace_back(address, &model.expected[weight]);
    ranges.push_back({.address = address, .bytes = model.expected[weight].size() * 2, .write = 0});
  }
  const auto body = [](void* raw) {
    const auto& on = *static_cast<const Data*>(raw);
    bool right = true;
    for (const auto& [address, values] : on.weights)
      right = right && std::memcmp(address, values->data(), values->size() * 2) == 0;
    ++(right ? on.compared->right : on.compared->wrong);
  };
  const SimulatorKernel kernel{
      .name = "compare",
      .ranges = ranges.data(),
      .rangeCount = ranges.size(),
      .nanoseconds = nanoseconds,
      .run = body,
      .data = data.get(),
      .release = [](void* raw) { const std::unique_ptr<Data> owned(static_cast<Data*>(raw)); }};
  static_cast<void>(data.release());
  const tensorrt_node::cuda::Current current(*compute.context());
  tensorrt_node::cuda::check(static_cast<CUresult>(simulatorLaunch(compute.handle(), &kernel)), "simulatorLaunch");
}

inline void step(const StoreModel& model, tensorrt_node::weights::StepWeights& store,
                 const tensorrt_node::cuda::Stream& compute, const std::shared_ptr<Compared>& compared,
                 std::uint64_t nanoseconds = 0) {
  store.begin(compute);
  for (std::size_t run = 0; run < model.runs.size(); ++run) {
    store.acquire(run, compute);
    compare(model, store, run, compute, compared, nanoseconds);
    store.release(run, compute);
  }
}

}  // namespace test
