#include "read_plan.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "convert_piece.h"

namespace tensorrt_node::weights {

namespace {

// Below that a second read takes longer.
constexpr std::uint64_t mostGap = 64 << 10;

std::uint64_t aligned(std::uint64_t bytes) noexcept {
  return (bytes + weightAlignment - 1) / weightAlignment * weightAlignment;
}

struct PlacedPiece {
  const Matrix* matrix;
  const Piece* piece;
  std::uint64_t offset;
};

class Planner {
 public:
  explicit Planner(std::size_t chunkBytes) : chunkBytes_(chunkBytes) {}

  void add(const PlacedPiece& placed) {
    const Piece& piece = *placed.piece;
    if (readyAsStored(*placed.matrix, piece)) return add(piece.values, false, placed.offset);
    const std::uint64_t scales = aligned(piece.values.bytes);
    const std::uint64_t zeroPoints = scales + aligned(piece.scales.bytes);
    add(piece.values, true, 0);
    add(piece.scales, true, scales);
    add(piece.zeroPoints, true, zeroPoints);
    const std::uint64_t passing = zeroPoints + aligned(piece.zeroPoints.bytes);
    plan_.stagingBytes = std::max(plan_.stagingBytes, passing + passingBytes(*placed.matrix, piece));
    // A piece without bytes is none.
    if (plan_.chunks.empty()) return;
    auto& steps = plan_.chunks.back().steps;
    // Pieces come in the order of their files: any may be the first.
    if (placed.matrix->packed && cleared_.insert(placed.matrix).second)
      steps.emplace_back(Clearing{placed.matrix, placed.offset});
    steps.emplace_back(Conversion{placed.matrix, placed.piece, 0, scales, zeroPoints, passing, placed.offset});
  }

  void add(const Source& source, bool staged, std::uint64_t to) {
    for (std::uint64_t done = 0; done < source.bytes;) {
      ReadChunk& chunk = chunkFor(source, source.offset + done);
      const std::uint64_t from = source.offset + done - chunk.offset;
      const std::uint64_t bytes = std::min<std::uint64_t>(source.bytes - done, chunkBytes_ - from);
      chunk.bytes = static_cast<std::size_t>(from + bytes);
      chunk.steps.emplace_back(
          ChunkCopy{static_cast<std::size_t>(from), static_cast<std::size_t>(bytes), staged, to + done});
      done += bytes;
    }
  }

  ReadPlan take() { return std::move(plan_); }

 private:
  // The last chunk, where bytes from `offset` on fit in it, or a new one.
  ReadChunk& chunkFor(const Source& source, std::uint64_t offset) {
    if (!plan_.chunks.empty()) {
      ReadChunk& last = plan_.chunks.back();
      const std::uint64_t end = last.offset + last.bytes;
      const bool near = offset >= end && offset - end <= mostGap && offset - last.offset < chunkBytes_;
      if (near && last.path == source.path && last.inlined == source.inlined) return last;
    }
    return plan_.chunks.emplace_back(
        ReadChunk{.path = source.path, .offset = offset, .bytes = 0, .inlined = source.inlined, .steps = {}});
  }

  const std::size_t chunkBytes_;
  std::set<const Matrix*> cleared_;
  ReadPlan plan_;
};

}  // namespace

ReadPlan planReads(std::span<const Matrix> matrices, const BlockLayout& layout, std::size_t chunkBytes) {
  std::vector<PlacedPiece> pieces;
  for (const PlacedWeight& placed : layout.weights) {
    const Matrix& matrix = matrices[placed.weight];
    for (const Piece& piece : matrix.pieces)
      pieces.push_back({&matrix, &piece, placed.offset + (matrix.packed ? 0 : matrix.offset(piece))});
  }
  std::ranges::stable_sort(
      pieces, {}, [](const PlacedPiece& each) { return std::tie(each.piece->values.path, each.piece->values.offset); });
  Planner planner(chunkBytes);
  for (const PlacedPiece& piece : pieces) planner.add(piece);
  return planner.take();
}

ReadPlan planReads(const std::string& path, std::uint64_t bytes, std::size_t chunkBytes) {
  Planner planner(chunkBytes);
  planner.add({.path = path, .offset = 0, .bytes = bytes, .inlined = nullptr}, false, 0);
  return planner.take();
}

}  // namespace tensorrt_node::weights
