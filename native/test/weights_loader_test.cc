// Matrices out of files and into the form that is wanted, on the simulated driver.
#include "weights/matrix_loader.h"

#include <cstdint>
#include <cstring>
#include <mutex>
#include <numeric>
#include <vector>

#include "engines.h"
#include "files/error.h"
#include "simulated.h"
#include "temporary_folder.h"
#include "weights/matrix.h"
#include "weights/store.h"

namespace cuda = tensorrt_node::cuda;
namespace weights = tensorrt_node::weights;
using tensorrt_node::kernels::ElementType;

namespace {

template <typename Value>
std::string bytesOf(const std::vector<Value>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value)};
}

// The simulated device's memory is the host's.
template <typename Value>
std::vector<Value> read(const weights::Store& store, std::size_t weight, std::size_t count) {
  std::vector<Value> values(count);
  std::memcpy(values.data(), reinterpret_cast<const void*>(store.address(0, weight)), count * sizeof(Value));
  return values;
}

// All of them resident, as one run's.
std::unique_ptr<weights::Store> load(const tensorrt_node::tensorrt::DeviceMemory& memory,
                                     const std::vector<weights::Matrix>& matrices,
                                     const weights::OnStored& onStored = nullptr, std::stop_token stop = {}) {
  std::vector<std::size_t> all(matrices.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return weights::Store::load(memory, matrices, {{.weights = all, .tier = weights::Tier::vram}},
                              {.threads = 3, .chunkBytes = 64}, onStored, std::move(stop));
}

weights::Source all(const std::string& path, std::uint64_t bytes, std::uint64_t offset = 0) {
  return {.path = path, .offset = offset, .bytes = bytes, .inlined = nullptr};
}

weights::Piece plain(weights::Source values, std::int64_t rows) {
  weights::Piece piece;
  piece.values = std::move(values);
  piece.rows = rows;
  return piece;
}

std::vector<std::uint16_t> counted(std::size_t count) {
  std::vector<std::uint16_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::uint16_t>(i * 7 + 1);
  return values;
}

}  // namespace

TEST(weights_come_in_pieces_from_files_and_memory) {
  const test::TemporaryFolder folder;
  const auto values = counted(1000);
  const std::string file = folder.write("weights", "four" + bytesOf(values));
  const auto inlined = std::make_shared<const std::vector<std::byte>>(8, std::byte{9});

  std::vector<weights::Matrix> matrices;
  for (int i = 0; i < 5; ++i) {
    weights::Matrix matrix{.name = "w", .type = ElementType::float16, .columns = 4, .pieces = {}};
    matrix.pieces.push_back(plain(all(file, 800, 4 + 200 * static_cast<std::uint64_t>(i)), 100));
    matrix.pieces.push_back(plain({.path = {}, .offset = 0, .bytes = 8, .inlined = inlined}, 1));
    matrices.push_back(std::move(matrix));
  }
  std::mutex mutex;
  std::uint64_t last = 0;
  std::uint64_t total = 0;
  const auto onLoaded = [&](std::uint64_t done, std::uint64_t of) {
    const std::lock_guard lock(mutex);
    CHECK(done > last);
    last = done;
    total = of;
  };
  const auto store = load(test::memory(), matrices, onLoaded);
  CHECK_EQUAL(last, 5U * 808);
  CHECK_EQUAL(total, 5U * 808);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto got = read<std::uint16_t>(*store, i, 404);
    for (std::size_t k = 0; k < 400; ++k) CHECK_EQUAL(got[k], values[100 * i + k]);
    CHECK_EQUAL(got[403], 0x0909);
  }
}

TEST(weights_are_brought_into_the_form_that_is_wanted) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("weights", bytesOf<float>({1, 2, 3, 4, 5, 6}));
  weights::Matrix matrix{.name = "w", .type = ElementType::float16, .columns = 3, .pieces = {}};
  weights::Piece transposed = plain(all(file, 24), 2);
  transposed.form = weights::Form::transposed;
  transposed.stored = ElementType::float32;
  weights::Piece cast = plain(all(file, 12, 12), 1);
  cast.stored = ElementType::float32;
  weights::Piece codes = plain(all(folder.write("codes", {"\xA9\x0B", 2}), 2), 1);
  codes.form = weights::Form::quantized;
  codes.stored = ElementType::float32;
  codes.block = 2;
  codes.scales = all(file, 8, 0);
  matrix.pieces = {transposed, cast, codes};
  const auto store = load(test::memory(), {matrix});
  CHECK(read<std::uint16_t>(*store, 0, 12) ==
        std::vector<std::uint16_t>({0x3C00, 0x4200, 0x4500, 0x4000, 0x4400, 0x4600, 0x4400, 0x4500, 0x4600,
                                    // (9 - 8) * 1, (10 - 8) * 1, (11 - 8) * 2
                                    0x3C00, 0x4000, 0x4600}));
}

TEST(weights_that_cannot_be_read_are_an_error_and_leave_nothing) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("weights", std::string(100, 'w'));
  const auto memory = test::memory();
  const auto matrix = [&](const std::string& path, std::uint64_t bytes) {
    weights::Matrix made{.name = "w", .type = ElementType::float16, .columns = 1, .pieces = {}};
    made.pieces.push_back(plain(all(path, bytes), static_cast<std::int64_t>(bytes) / 2));
    return made;
  };
  for (const auto& [broken, code] :
       {std::pair(matrix(folder.file("none"), 10), "ENOENT"), std::pair(matrix(file, 102), "ENODATA")}) {
    const std::vector<weights::Matrix> matrices{matrix(file, 100), broken, matrix(file, 100)};
    try {
      static_cast<void>(load(memory, matrices));
      CHECK(false);
    } catch (const tensorrt_node::files::FileError& error) {
      CHECK_EQUAL(error.codeName(), code);
    }
    CHECK_EQUAL(memory.device->stats().usedBytes, 0U);
  }
}

TEST(weights_are_given_up_when_asked_to) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("weights", std::string(10000, 'w'));
  weights::Matrix matrix{.name = "w", .type = ElementType::float16, .columns = 1, .pieces = {}};
  matrix.pieces.push_back(plain(all(file, 10000), 5000));
  std::stop_source stop;
  bool stopped = false;
  try {
    const auto onLoaded = [&](std::uint64_t done, std::uint64_t) {
      if (done > 500) stop.request_stop();
    };
    static_cast<void>(load(test::memory(), {matrix}, onLoaded, stop.get_token()));
  } catch (const weights::Stopped&) {
    stopped = true;
  }
  CHECK(stopped);
}
