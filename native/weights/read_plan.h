// What is read, copied and converted, in which order, to bring a block of weights from files to its place in VRAM.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "block_layout.h"
#include "matrix.h"

namespace tensorrt_node::weights {

// Bytes of a chunk to where they belong.
struct ChunkCopy {
  std::size_t from;
  std::size_t bytes;
  // To staging memory, for a Conversion; else to the place.
  bool staged;
  std::uint64_t to;
};

// Of a piece, all of which is in staging memory then.
struct Conversion {
  // Both live as long as the matrices that the plan was made of.
  const Matrix* matrix;
  const Piece* piece;
  // Offsets in staging memory.
  std::uint64_t values;
  std::uint64_t scales;
  std::uint64_t zeroPoints;
  std::uint64_t passing;
  // Offset in the place; as convertPiece() takes it.
  std::uint64_t out;
};

// Of memory for a packed matrix.
struct Clearing {
  const Matrix* matrix;
  // Offset in the place.
  std::uint64_t at;
};

// A read, and what is done with what was read.
struct ReadChunk {
  std::string path;
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
  // Instead of a file.
  std::shared_ptr<const std::vector<std::byte>> inlined;
  std::vector<std::variant<ChunkCopy, Clearing, Conversion>> steps;
};

struct ReadPlan {
  // To be done one after the other; staging memory is used again and again.
  std::vector<ReadChunk> chunks;
  std::uint64_t stagingBytes = 0;
};

// Reads of `chunkBytes` at most, in the order of the files: neighbours in a file are read together, small gaps with
// them.
ReadPlan planReads(std::span<const Matrix> matrices, const BlockLayout& layout, std::size_t chunkBytes);

// Of a block that lies in a file as it is wanted in memory.
ReadPlan planReads(const std::string& path, std::uint64_t bytes, std::size_t chunkBytes);

}  // namespace tensorrt_node::weights
