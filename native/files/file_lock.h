// An exclusive lock of a file, which the kernel frees when its holder dies.
#pragma once

#include <optional>
#include <string>

#include "descriptor.h"

namespace tensorrt_node::files {

// Held until destroyed. The file stays.
class FileLock {
 public:
  // Makes the file if it is missing; nothing while anybody else holds it, in this process or another. Throws FileError.
  static std::optional<FileLock> tryLock(const std::string& path);

 private:
  explicit FileLock(Descriptor file) noexcept : file_(std::move(file)) {}

  Descriptor file_;
};

}  // namespace tensorrt_node::files
