#include "error.h"

#include <cerrno>
#include <system_error>
#include <utility>

namespace tensorrt_node::files {
namespace {

// strerrorname_np() needs a newer C library than the addon may.
std::string nameOf(int number) {
  switch (number) {
#define TENSORRT_NODE_NAME(code) \
  case code:                     \
    return #code;
    TENSORRT_NODE_NAME(EACCES)
    TENSORRT_NODE_NAME(EBADF)
    TENSORRT_NODE_NAME(EDQUOT)
    TENSORRT_NODE_NAME(EEXIST)
    TENSORRT_NODE_NAME(EFBIG)
    TENSORRT_NODE_NAME(EINVAL)
    TENSORRT_NODE_NAME(EIO)
    TENSORRT_NODE_NAME(EISDIR)
    TENSORRT_NODE_NAME(ELOOP)
    TENSORRT_NODE_NAME(EMFILE)
    TENSORRT_NODE_NAME(ENAMETOOLONG)
    TENSORRT_NODE_NAME(ENFILE)
    TENSORRT_NODE_NAME(ENOENT)
    TENSORRT_NODE_NAME(ENOLCK)
    TENSORRT_NODE_NAME(ENOMEM)
    TENSORRT_NODE_NAME(ENODATA)
    TENSORRT_NODE_NAME(ENOSPC)
    TENSORRT_NODE_NAME(ENOTDIR)
    TENSORRT_NODE_NAME(ENXIO)
    TENSORRT_NODE_NAME(EPERM)
    TENSORRT_NODE_NAME(EROFS)
    TENSORRT_NODE_NAME(ESTALE)
    TENSORRT_NODE_NAME(ETXTBSY)
#undef TENSORRT_NODE_NAME
    default: {
      std::string name = "E";
      name += std::to_string(number);
      return name;
    }
  }
}

}  // namespace

FileError::FileError(std::string call, std::string path, int number)
    : std::runtime_error(nameOf(number) + ": " + std::generic_category().message(number) + ", " + call + " '" + path +
                         "'"),
      call_(std::move(call)),
      path_(std::move(path)),
      number_(number) {}

std::string FileError::codeName() const {
  return nameOf(number_);
}

}  // namespace tensorrt_node::files
