#include "file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "error.h"

namespace tensorrt_node::files {
namespace {

// Whether the path still leads to the open file: whoever held the lock may have removed it meanwhile.
bool isAt(const Descriptor& file, const std::string& path) {
  struct stat held {};
  struct stat there {};
  if (::fstat(file.number(), &held) != 0) throw FileError("fstat", path, errno);
  if (::stat(path.c_str(), &there) != 0) {
    if (errno == ENOENT) return false;
    throw FileError("stat", path, errno);
  }
  return held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

}  // namespace

std::optional<FileLock> FileLock::tryLock(const std::string& path) {
  while (true) {
    // Not inherited: a child that outlives this process must not go on holding the lock.
    Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (file.number() < 0) {
      if (errno == EINTR) continue;
      throw FileError("open", path, errno);
    }
    // A lock of the open file, not of the process: two owners in one process exclude each other too.
    if (::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return std::nullopt;
      throw FileError("flock", path, errno);
    }
    if (isAt(file, path)) return FileLock(std::move(file));
  }
}

}  // namespace tensorrt_node::files
