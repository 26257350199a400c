#include "whole_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "descriptor.h"
#include "error.h"

namespace tensorrt_node::files {
namespace {

// Linux moves at most 2 GiB at a time; less keeps the process responsive to signals.
constexpr std::size_t kPiece = std::size_t{64} << 20;

void writeAll(Descriptor& file, const std::string& path, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ::ssize_t count = ::write(file.number(), bytes.data(), std::min(bytes.size(), kPiece));
    if (count < 0) {
      if (errno == EINTR) continue;
      throw FileError("write", path, errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void writeParts(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.number() < 0) throw FileError("open", path, errno);
  try {
    for (const std::span<const std::byte> part : parts) writeAll(file, path, part);
    // Some file systems tell of a full disk only here.
    if (!file.close()) throw FileError("close", path, errno);
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
}

// A name that no other process or thread has.
std::string temporaryName(const std::string& path) {
  static std::atomic<unsigned> next = 0;
  return path + '.' + std::to_string(::getpid()) + '.' + std::to_string(next++) + ".tmp";
}

}  // namespace

std::optional<std::vector<std::byte>> readIfThere(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) {
    if (errno == ENOENT) return std::nullopt;
    throw FileError("open", path, errno);
  }
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) throw FileError("fstat", path, errno);
  std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ::ssize_t count = ::read(file.number(), bytes.data() + filled, std::min(bytes.size() - filled, kPiece));
    if (count < 0) {
      if (errno == EINTR) continue;
      throw FileError("read", path, errno);
    }
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  bytes.resize(filled);
  return bytes;
}

void write(const std::string& path, std::span<const std::byte> bytes) {
  writeParts(path, {&bytes, 1});
}

void replace(const std::string& path, std::span<const std::byte> bytes) {
  replace(path, {&bytes, 1});
}

void replace(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  const std::string temporary = temporaryName(path);
  writeParts(temporary, parts);
  if (::rename(temporary.c_str(), path.c_str()) == 0) return;
  const int number = errno;
  ::unlink(temporary.c_str());
  throw FileError("rename", path, number);
}

}  // namespace tensorrt_node::files
