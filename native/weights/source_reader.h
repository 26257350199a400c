// Reads the bytes of a source in order, from a file or from memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "matrix.h"

namespace tensorrt_node::weights {

// For one thread at a time.
class SourceReader {
 public:
  // Throws FileError.
  explicit SourceReader(const Source& source);
  ~SourceReader();
  SourceReader(const SourceReader&) = delete;
  SourceReader& operator=(const SourceReader&) = delete;

  // The next bytes, as many as `to` takes or are left; 0 at the end. Throws FileError; ENODATA for a file that is
  // shorter than its source says.
  std::size_t read(std::span<std::byte> to);

 private:
  const Source& source_;
  int file_ = -1;
  std::uint64_t done_ = 0;
};

}  // namespace tensorrt_node::weights
