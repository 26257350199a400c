// How weights on disk are read: past the page cache where that can be, in few reads, in the right order.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "check.h"
#include "files/error.h"
#include "temporary_folder.h"
#include "weights/direct_file.h"
#include "weights/offload_file.h"
#include "weights/read_plan.h"
#include "weights_store.h"

namespace weights = tensorrt_node::weights;
using tensorrt_node::files::FileError;
using tensorrt_node::kernels::ElementType;

namespace {

std::string counted(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 7 + i / 256);
  return text;
}

struct Room {
  explicit Room(std::size_t bytes) : memory(weights::directRoom(bytes) + weights::directAlignment) {
    void* begin = memory.data();
    std::size_t space = memory.size();
    aligned = {static_cast<std::byte*>(std::align(weights::directAlignment, weights::directRoom(bytes), begin, space)),
               weights::directRoom(bytes)};
  }
  std::vector<std::byte> memory;
  std::span<std::byte> aligned;
};

std::string textOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

weights::Matrix plain(const std::string& path, std::uint64_t offset, std::uint64_t bytes) {
  weights::Piece piece;
  piece.values = {.path = path, .offset = offset, .bytes = bytes, .inlined = nullptr};
  piece.rows = static_cast<std::int64_t>(bytes / 2);
  return {.name = "w", .type = ElementType::float16, .columns = 1, .pieces = {piece}};
}

// What a plan's copies make of files that hold counted(): the block, all of it plain.
std::string done(const weights::ReadPlan& plan, std::uint64_t bytes, std::size_t chunkBytes, const std::string& file) {
  std::string block(static_cast<std::size_t>(bytes), '\0');
  for (const weights::ReadChunk& chunk : plan.chunks) {
    CHECK(chunk.bytes <= chunkBytes);
    for (const auto& step : chunk.steps) {
      const auto& copy = std::get<weights::ChunkCopy>(step);
      CHECK(copy.from + copy.bytes <= chunk.bytes);
      CHECK(!copy.staged);
      block.replace(static_cast<std::size_t>(copy.to), copy.bytes,
                    file.substr(static_cast<std::size_t>(chunk.offset) + copy.from, copy.bytes));
    }
  }
  return block;
}

}  // namespace

TEST(direct_reads_begin_and_end_anywhere) {
  const test::TemporaryFolder folder;
  // Not whole sectors.
  const std::string text = counted(20'011);
  const std::string path = folder.write("file", text);
  for (const int refused : {0, EINVAL, EFAULT}) {
    // As file systems without such reads answer, disks with larger sectors, and kernels that do not take the memory.
    const auto read = [refused](int file, void* to, std::size_t bytes, off_t offset) -> ssize_t {
      if (refused != 0 && (::fcntl(file, F_GETFL) & O_DIRECT) != 0) {
        errno = refused;
        return -1;
      }
      return ::pread(file, to, bytes, offset);
    };
    const weights::DirectFile file(path, read);
    Room room(20'011);
    for (const std::size_t offset : {0UL, 1UL, 4095UL, 4096UL, 4097UL, 12'288UL, 20'000UL}) {
      for (const std::size_t bytes : {1UL, 11UL, 4096UL, 5000UL, 20'011UL}) {
        if (offset + bytes > text.size()) {
          const FileError error = CHECK_THROWS(file.read(offset, bytes, room.aligned), FileError);
          CHECK_EQUAL(error.codeName(), "ENODATA");
        } else {
          CHECK(textOf(file.read(offset, bytes, room.aligned)) == text.substr(offset, bytes));
          std::vector<std::byte> cached(bytes);
          if (file.readCached(offset, cached)) CHECK(textOf(cached) == text.substr(offset, bytes));
        }
      }
    }
    if (refused != 0) CHECK(!file.direct());
  }
  for (const std::size_t room : {8193UL, 12'288UL, 12'289UL, 8UL << 20})
    CHECK(weights::directRoom(weights::directShare(room)) <= room);
  CHECK_EQUAL(weights::directRoom(weights::directShare(8 << 20)), 8U << 20);
  const FileError missing = CHECK_THROWS(weights::DirectFile(folder.file("none"), ::pread), FileError);
  CHECK_EQUAL(missing.codeName(), "ENOENT");
}

// Where the system has no reads that only take what is cached, it is asked what that is.
TEST(cached_parts_of_files_are_read_from_the_cache) {
  const std::string text = counted(20'011);
  std::vector<std::string> folders{std::filesystem::temp_directory_path().string()};
  if (std::filesystem::exists("/dev/shm")) folders.emplace_back("/dev/shm");
  for (const std::string& in : folders) {
    const test::TemporaryFolder folder(in);
    // What was just written is cached.
    const weights::DirectFile file(folder.write("file", text), ::pread);
    std::vector<std::byte> part(9000);
    CHECK(file.readCached(5001, part));
    CHECK(textOf(part) == text.substr(5001, 9000));
  }
}

TEST(neighbours_in_a_file_are_read_together) {
  const std::string file = counted(1'000'000);
  // The second before the first, a small gap, a large one, and one that is larger than a read.
  const std::vector<weights::Matrix> matrices{plain("f", 1000, 600),       plain("f", 10, 990),
                                              plain("f", 1700, 300),       plain("f", 200'000, 50),
                                              plain("f", 200'050, 30'000), plain("g", 230'050, 100)};
  const std::vector<std::size_t> all{0, 1, 2, 3, 4, 5};
  const weights::BlockLayout layout = weights::layOut(matrices, all);
  const weights::ReadPlan plan = weights::planReads(matrices, layout, 8192);
  const std::string block = done(plan, layout.bytes, 8192, file);
  for (const weights::PlacedWeight& placed : layout.weights) {
    const weights::Source& source = matrices[placed.weight].pieces[0].values;
    CHECK_EQUAL(placed.offset % weights::weightAlignment, 0U);
    CHECK(block.substr(static_cast<std::size_t>(placed.offset), static_cast<std::size_t>(source.bytes)) ==
          file.substr(static_cast<std::size_t>(source.offset), static_cast<std::size_t>(source.bytes)));
  }
  // 10 to 2000; 200,000 to 230,050 in reads of 8192; the other file.
  CHECK_EQUAL(plan.chunks.size(), 1U + 4U + 1U);
  CHECK_EQUAL(plan.stagingBytes, 0U);
}

TEST(quantized_weights_come_from_disk_as_they_come_to_stay) {
  const test::TemporaryFolder folder;
  // Codes of 4 bits in blocks of 16 with scales of their own, in two files and in memory.
  const std::string codes = counted(8 * 64 / 2);
  const auto scales = std::make_shared<std::vector<std::byte>>();
  for (std::uint16_t i = 0; i < 8 * 4; ++i) {
    const std::uint16_t half = test::halfOf(i);
    scales->push_back(static_cast<std::byte>(half & 255));
    scales->push_back(static_cast<std::byte>(half >> 8));
  }
  weights::Piece piece;
  piece.form = weights::Form::quantized;
  piece.rows = 8;
  piece.block = 16;
  piece.values = {.path = folder.write("codes", codes), .offset = 0, .bytes = codes.size(), .inlined = nullptr};
  piece.scales = {.path = {}, .offset = 0, .bytes = scales->size(), .inlined = scales};
  piece.zeroPoints = {.path = folder.write("zeros", counted(16)), .offset = 0, .bytes = 16, .inlined = nullptr};
  const weights::Matrix matrix{.name = "w", .type = ElementType::float16, .columns = 64, .pieces = {piece, piece}};

  test::StoreModel model;
  model.matrices.assign(8, matrix);
  for (std::size_t run = 0; run < 8; ++run) model.run({run}, weights::Tier::disk);
  const auto memory = test::memory();
  const tensorrt_node::cuda::Stream compute(memory.context, "compute");
  for (const std::string& offloadFolder : {std::string(), folder.file("offload")}) {
    model.expected.assign(8, std::vector<std::uint16_t>(2 * 8 * 64));
    const auto store = model.load(memory, {.chunkBytes = 100, .offloadFolder = offloadFolder});
    // The first run stays in VRAM; simulated memory is the host's.
    for (auto& expected : model.expected)
      std::memcpy(expected.data(), reinterpret_cast<const void*>(store->address(0, 0)), expected.size() * 2);
    CHECK(model.expected[0][1] != model.expected[0][2]);
    const auto compared = std::make_shared<test::Compared>();
    for (int i = 0; i < 3; ++i) test::step(model, *store, compute, compared);
    compute.synchronize();
    CHECK_EQUAL(compared->right.load(), 3 * 8);
    CHECK_EQUAL(store->bytes().disk, 6U * 2 * 8 * 64 * 2);
  }
}

TEST(offloaded_blocks_are_named_by_all_that_they_are_made_of) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("f", counted(100));
  const std::vector<std::size_t> one{0};
  const auto name = [&](const weights::Matrix& matrix) {
    const std::vector<weights::Matrix> matrices{matrix};
    return weights::offloadPath("folder", matrices, weights::layOut(matrices, one));
  };
  const weights::Matrix matrix = plain(path, 0, 50);
  const std::string before = name(matrix);
  CHECK_EQUAL(name(matrix), before);
  weights::Matrix other = matrix;
  other.type = ElementType::bfloat16;
  CHECK(name(other) != before);
  other = matrix;
  other.pieces[0].form = weights::Form::transposed;
  CHECK(name(other) != before);
  CHECK(name(plain(path, 2, 50)) != before);
  folder.write("f", counted(101));
  CHECK(name(matrix) != before);
  const FileError missing = CHECK_THROWS(name(plain(folder.file("none"), 0, 50)), FileError);
  CHECK_EQUAL(missing.call(), "stat");
}
