// Matrices that stay quantized, from files to where kernels take them: in VRAM, RAM and on disk alike.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "engines.h"
#include "packed.h"
#include "temporary_folder.h"
#include "weights/matrix.h"
#include "weights_store.h"

namespace kernels = tensorrt_node::kernels;
namespace weights = tensorrt_node::weights;
using kernels::CodeType;
using kernels::Offsets;
using kernels::QuantizedFormat;

namespace {

std::string counted(std::size_t bytes, unsigned seed) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 7 + i / 256 + seed);
  return text;
}

// 4-bit codes in blocks of 32 with zero points, in files of their own; scales at hand.
weights::Piece piece(const test::TemporaryFolder& folder, std::int64_t rows, std::int64_t columns, unsigned seed) {
  const std::size_t blocks = static_cast<std::size_t>(columns + 31) / 32;
  const auto count = static_cast<std::size_t>(rows);
  const auto scales = std::make_shared<std::vector<std::byte>>();
  for (unsigned i = 0; i < count * blocks; ++i) {
    const std::uint16_t half = test::halfOf((i + seed) % 50);
    scales->push_back(static_cast<std::byte>(half & 255));
    scales->push_back(static_cast<std::byte>(half >> 8));
  }
  const std::string name = std::to_string(seed);
  const std::string codes = counted(count * blocks * 16, seed);
  const std::string zeros = counted(count * ((blocks + 1) / 2), seed + 5);
  weights::Piece made;
  made.form = weights::Form::quantized;
  made.rows = rows;
  made.block = 32;
  made.values = {.path = folder.write("codes" + name, codes), .offset = 0, .bytes = codes.size(), .inlined = nullptr};
  made.scales = {.path = {}, .offset = 0, .bytes = scales->size(), .inlined = scales};
  made.zeroPoints = {
      .path = folder.write("zeros" + name, zeros), .offset = 0, .bytes = zeros.size(), .inlined = nullptr};
  return made;
}

weights::Matrix matrix(const test::TemporaryFolder& folder, int gated = 0) {
  // Rows of a tile come from both pieces, and the last of each is not whole. The second lies first on the disk.
  weights::Matrix made{
      .name = "qkv",
      .type = kernels::ElementType::float16,
      .columns = 72,
      .pieces = {},
      .packed = QuantizedFormat{.codes = CodeType::uint4, .offsets = Offsets::codes, .block = 32, .gated = gated}};
  made.pieces = {piece(folder, 21, 72, 9), piece(folder, 13, 72, 3)};
  return made;
}

std::vector<std::uint16_t> bytesAt(CUdeviceptr address, std::uint64_t bytes) {
  std::vector<std::uint16_t> values(static_cast<std::size_t>(bytes) / 2);
  std::memcpy(values.data(), reinterpret_cast<const void*>(address), values.size() * 2);
  return values;
}

std::string refusal(const weights::Matrix& made) {
  return CHECK_THROWS(weights::check(made), std::invalid_argument).what();
}

}  // namespace

TEST(packed_weights_are_as_large_as_their_format_says) {
  const test::TemporaryFolder folder;
  const weights::Matrix made = matrix(folder);
  CHECK_EQUAL(made.bytes(), kernels::quantizedBytes(*made.packed, 34, 72));
  CHECK(made.bytes() % 256 == 0);
  weights::check(made);
}

TEST(packed_weights_are_what_floats_are_made_of) {
  const test::TemporaryFolder folder;
  for (const int gated : {0, 1}) {
    const weights::Matrix made = matrix(folder, gated);
    weights::Matrix dense = made;
    dense.packed.reset();
    test::Gpu gpu;
    const auto memory = test::memory();
    const auto store = weights::Store::load(memory, {made, dense}, {{.weights = {0, 1}, .tier = weights::Tier::vram}},
                                            {.chunkBytes = 64}, nullptr, {});
    void* const out = gpu.empty(34 * 72 * 2);
    kernels::unpackQuantized(*gpu.kernels, gpu.stream.handle(), kernels::ElementType::float16,
                             {.packed = reinterpret_cast<const void*>(store->address(0, 0)),
                              .out = out,
                              .outer = 34,
                              .inner = 72,
                              .format = *made.packed});
    CHECK(gpu.take<std::uint16_t>(out, 34 * 72) == bytesAt(store->address(0, 1), 34 * 72 * 2));
  }
}

TEST(packed_weights_are_the_same_wherever_they_are) {
  const test::TemporaryFolder folder;
  test::StoreModel model;
  model.matrices.assign(8, matrix(folder));
  const auto memory = test::memory();
  const tensorrt_node::cuda::Stream compute(memory.context, "compute");
  const std::uint64_t bytes = model.matrices.front().bytes();
  for (const auto& [tier, offloadFolder] :
       {std::pair(weights::Tier::ram, std::string()), std::pair(weights::Tier::disk, std::string()),
        std::pair(weights::Tier::disk, folder.file("offload"))}) {
    model.runs.clear();
    for (std::size_t run = 0; run < 8; ++run) model.run({run}, tier);
    // The last run stays in VRAM.
    model.expected.assign(8, {});
    const auto store = model.load(memory, {.chunkBytes = 100, .offloadFolder = offloadFolder});
    model.expected.assign(8, bytesAt(store->address(7, 7), bytes));
    CHECK(std::ranges::any_of(model.expected[0], [](std::uint16_t each) { return each != 0; }));
    const auto compared = std::make_shared<test::Compared>();
    for (int i = 0; i < 3; ++i) test::step(model, *store, compute, compared);
    compute.synchronize();
    CHECK_EQUAL(compared->right.load(), 3 * 8);
    CHECK_EQUAL(compared->wrong.load(), 0);
    if (tier == weights::Tier::disk) CHECK_EQUAL(store->bytes().disk, 6 * bytes);
  }
}

// int8, stored as the product takes it: there is no kernel that makes floats of it at once.
TEST(signed_codes_become_floats_by_way_of_the_packed_form) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("codes", {"\x01\xff\x7f\x80\x02\xfe", 6});
  const auto scales = std::make_shared<std::vector<std::byte>>(8);
  const float both[2] = {0.5F, 2};
  std::memcpy(scales->data(), both, 8);
  weights::Piece codes;
  codes.form = weights::Form::quantized;
  codes.codes = weights::StoredCodes::int8;
  codes.stored = kernels::ElementType::float32;
  codes.rows = 2;
  codes.block = 3;
  codes.otherWay = true;
  codes.values = {.path = file, .offset = 0, .bytes = 6, .inlined = nullptr};
  codes.scales = {.path = {}, .offset = 0, .bytes = 8, .inlined = scales};
  const weights::Matrix made{
      .name = "w", .type = kernels::ElementType::float16, .columns = 3, .pieces = {codes}, .packed = {}};
  weights::check(made);
  test::StoreModel model;
  model.matrices.assign(4, made);
  model.expected.assign(4, test::halves({0.5F, 63.5F, 1, -2, -256, -4}));
  for (std::size_t run = 0; run < 4; ++run) model.run({run}, weights::Tier::disk);
  const auto memory = test::memory();
  const tensorrt_node::cuda::Stream compute(memory.context, "compute");
  const auto store = model.load(memory, {.places = 2});
  const auto compared = std::make_shared<test::Compared>();
  for (int i = 0; i < 2; ++i) test::step(model, *store, compute, compared);
  compute.synchronize();
  CHECK_EQUAL(compared->right.load(), 2 * 4);
}

TEST(weights_of_another_length_than_their_rows_are_refused) {
  const test::TemporaryFolder folder;
  const auto changed = [&](const auto& change) {
    weights::Matrix made = matrix(folder);
    change(made);
    return made;
  };
  CHECK_EQUAL(refusal(changed([](weights::Matrix& made) { --made.pieces[1].values.bytes; })),
              "qkv: codes of another length than its rows");
  CHECK_EQUAL(refusal(changed([](weights::Matrix& made) { made.pieces[0].scales.bytes += 2; })),
              "qkv: scales of another length than its blocks");
  CHECK_EQUAL(refusal(changed([](weights::Matrix& made) { --made.pieces[0].zeroPoints.bytes; })),
              "qkv: zero points of another length than its blocks");
  CHECK_EQUAL(refusal(changed([](weights::Matrix& made) { made.packed->block = 64; })),
              "qkv: rows that are quantized in another way than it is packed");
  CHECK_EQUAL(refusal(changed([](weights::Matrix& made) { made.packed->block = 48; })),
              "qkv: no kernel takes it quantized so");
  weights::Piece plain;
  plain.rows = 2;
  plain.values.bytes = 10;
  CHECK_EQUAL(refusal({.name = "w", .type = kernels::ElementType::float16, .columns = 3, .pieces = {plain}}),
              "w: elements of another length than its rows");
}
