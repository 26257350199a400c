// Reads of a file past the page cache, where the file system allows that.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "../files/descriptor.h"

namespace tensorrt_node::weights {

// As pread(2).
using ReadFunction = std::function<ssize_t(int file, void* to, std::size_t bytes, off_t offset)>;

// Offsets, lengths and addresses of direct reads are multiples of it.
inline constexpr std::size_t directAlignment = 4096;

// Memory that a read of `bytes`, from anywhere in the file, needs.
constexpr std::size_t directRoom(std::size_t bytes) noexcept {
  return (bytes + directAlignment - 1) / directAlignment * directAlignment + directAlignment;
}

// Bytes that can be read, from anywhere in the file, with so much memory; as many where that is next to nothing.
constexpr std::size_t directShare(std::size_t room) noexcept {
  return room <= 2 * directAlignment ? room : room / directAlignment * directAlignment - directAlignment;
}

// Safe from any thread.
class DirectFile {
 public:
  // Throws FileError.
  DirectFile(std::string path, ReadFunction read);
  DirectFile(const DirectFile&) = delete;
  DirectFile& operator=(const DirectFile&) = delete;

  // Bytes `offset` to `offset + bytes` of the file, somewhere in `to`, which has the room of them and begins
  // with a page, as pinned memory does.
  // Throws FileError; ENODATA for a file that is shorter.
  std::span<std::byte> read(std::uint64_t offset, std::size_t bytes, std::span<std::byte> to) const;

  // The same where no such read is needed: true, with `to` filled, when the page cache has all of it or reads cannot go
  // past it. Throws FileError.
  bool readCached(std::uint64_t offset, std::span<std::byte> to) const;

  const std::string& path() const noexcept { return path_; }
  // Whether reads go past the page cache, as far as is known.
  bool direct() const noexcept { return direct_.load(std::memory_order_relaxed); }

 private:
  void readBuffered(std::uint64_t offset, std::span<std::byte> to) const;
  // Reads until `least` bytes are there; -1 with errno.
  ssize_t readSome(int file, std::span<std::byte> to, std::uint64_t offset, std::size_t least) const;

  const std::string path_;
  const ReadFunction read_;
  const files::Descriptor buffered_;
  const files::Descriptor unbuffered_;
  mutable std::atomic<bool> direct_;
};

}  // namespace tensorrt_node::weights
