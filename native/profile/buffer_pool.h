// Buffers that CUPTI writes records into: no more than a fixed number, kept while it may want them again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace tensorrt_node::profile {

class BufferPool {
 public:
  BufferPool(std::size_t bufferBytes, std::size_t mostBuffers) : bytes_(bufferBytes), most_(mostBuffers) {}

  std::size_t bufferBytes() const noexcept { return bytes_; }

  // Aligned for any record. Null where all are out, or memory is.
  std::uint8_t* take() noexcept;
  void give(std::uint8_t* buffer) noexcept;
  // Frees those that are not out.
  void trim() noexcept;
  // Those that exist, for tests.
  std::size_t count() const;

 private:
  struct Buffer {
    std::unique_ptr<std::uint8_t[]> memory;
    bool out;
  };

  const std::size_t bytes_;
  const std::size_t most_;
  mutable std::mutex mutex_;
  std::vector<Buffer> buffers_;
};

}  // namespace tensorrt_node::profile
