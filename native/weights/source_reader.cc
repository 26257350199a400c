#include "source_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../files/error.h"

namespace tensorrt_node::weights {

SourceReader::SourceReader(const Source& source) : source_(source) {
  if (source.inlined != nullptr) return;
  do {
    file_ = open(source.path.c_str(), O_RDONLY | O_CLOEXEC);
  } while (file_ < 0 && errno == EINTR);
  if (file_ < 0) throw files::FileError("open", source.path, errno);
}

SourceReader::~SourceReader() {
  if (file_ >= 0) close(file_);
}

std::size_t SourceReader::read(std::span<std::byte> to) {
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), source_.bytes - done_));
  if (source_.inlined != nullptr) {
    std::memcpy(to.data(), source_.inlined->data() + source_.offset + done_, wanted);
    done_ += wanted;
    return wanted;
  }
  std::size_t got = 0;
  while (got < wanted) {
    const ssize_t count = pread(file_, to.data() + got, wanted - got, static_cast<off_t>(source_.offset + done_ + got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw files::FileError("pread", source_.path, errno);
    if (count == 0) throw files::FileError("pread", source_.path, ENODATA);
    got += static_cast<std::size_t>(count);
  }
  done_ += got;
  return got;
}

}  // namespace tensorrt_node::weights
