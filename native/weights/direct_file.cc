#include "direct_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "../files/error.h"

namespace tensorrt_node::weights {

namespace {

int openFile(const std::string& path, int flags) noexcept {
  int file = -1;
  do {
    file = open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
  } while (file < 0 && errno == EINTR);
  return file;
}

// Whether the page cache has all of it, as far as the system tells; it says yes to those who may not know.
bool isCached(int file, std::uint64_t offset, std::size_t bytes) {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t begin = offset / page * page;
  const auto length = static_cast<std::size_t>(offset + bytes - begin);
  void* const mapped = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, file, static_cast<off_t>(begin));
  if (mapped == MAP_FAILED) return false;
  const auto unmap = [&](void* memory) { ::munmap(memory, length); };
  const std::unique_ptr<void, decltype(unmap)> owner(mapped, unmap);
  std::vector<unsigned char> pages(static_cast<std::size_t>((length + page - 1) / page));
  return ::mincore(mapped, length, pages.data()) == 0 &&
         std::ranges::all_of(pages, [](unsigned char each) { return (each & 1) != 0; });
}

}  // namespace

DirectFile::DirectFile(std::string path, ReadFunction read)
    : path_(std::move(path)),
      read_(std::move(read)),
      buffered_(openFile(path_, 0)),
      // Refused by file systems that have no such reads.
      unbuffered_(buffered_.number() < 0 ? -1 : openFile(path_, O_DIRECT)),
      direct_(unbuffered_.number() >= 0) {
  if (buffered_.number() < 0) throw files::FileError("open", path_, errno);
}

std::span<std::byte> DirectFile::read(std::uint64_t offset, std::size_t bytes, std::span<std::byte> to) const {
  const auto skipped = static_cast<std::size_t>(offset % directAlignment);
  if (direct()) {
    const std::size_t whole = (skipped + bytes + directAlignment - 1) / directAlignment * directAlignment;
    const ssize_t got = readSome(unbuffered_.number(), to.first(whole), offset - skipped, skipped + bytes);
    if (got >= 0 && static_cast<std::size_t>(got) < skipped + bytes) throw files::FileError("pread", path_, ENODATA);
    if (got >= 0) return to.subspan(skipped, bytes);
    // Some file systems, and disks with larger sectors, refuse only here; so do kernels that cannot hand a disk the
    // memory that a driver has pinned.
    if (errno != EINVAL && errno != EFAULT) throw files::FileError("pread", path_, errno);
    direct_.store(false, std::memory_order_relaxed);
  }
  readBuffered(offset, to.first(bytes));
  return to.first(bytes);
}

bool DirectFile::readCached(std::uint64_t offset, std::span<std::byte> to) const {
  if (!direct()) {
    readBuffered(offset, to);
    return true;
  }
  while (!to.empty()) {
    const iovec part{to.data(), to.size()};
    const ssize_t count = preadv2(buffered_.number(), &part, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EOPNOTSUPP && isCached(buffered_.number(), offset, to.size())) {
      readBuffered(offset, to);
      return true;
    }
    // Not cached, or beyond the end: a direct read says what there is to say.
    if (count <= 0) return false;
    offset += static_cast<std::uint64_t>(count);
    to = to.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

void DirectFile::readBuffered(std::uint64_t offset, std::span<std::byte> to) const {
  const ssize_t got = readSome(buffered_.number(), to, offset, to.size());
  if (got < 0) throw files::FileError("pread", path_, errno);
  if (static_cast<std::size_t>(got) < to.size()) throw files::FileError("pread", path_, ENODATA);
}

ssize_t DirectFile::readSome(int file, std::span<std::byte> to, std::uint64_t offset, std::size_t least) const {
  std::size_t got = 0;
  while (got < least) {
    const ssize_t count = read_(file, to.data() + got, to.size() - got, static_cast<off_t>(offset + got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
    // The end of a file whose length is no multiple of sectors; from there on nothing can be read directly.
    if (got < least && got % directAlignment != 0 && file == unbuffered_.number()) break;
  }
  return static_cast<ssize_t>(got);
}

}  // namespace tensorrt_node::weights
