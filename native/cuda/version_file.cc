#include "version_file.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <memory>

namespace tensorrt_node::cuda {

namespace {

// How many digits a text begins with.
std::size_t digits(std::string_view text) noexcept {
  return std::min(text.find_first_not_of("0123456789"), text.size());
}

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

}  // namespace

std::optional<std::string> versionIn(std::string_view text) {
  while (!text.empty()) {
    text.remove_prefix(std::min(text.find_first_of("0123456789"), text.size()));
    const std::size_t major = digits(text);
    std::size_t length = major;
    for (int part = 0; part < 2 && length < text.size() && text[length] == '.'; ++part) {
      const std::size_t more = digits(text.substr(length + 1));
      if (more == 0) break;
      length += 1 + more;
    }
    if (major >= 3 && length > major) return std::string(text.substr(0, length));
    text.remove_prefix(length);
  }
  return std::nullopt;
}

std::optional<std::string> versionInFile(const std::string& path) {
  // Not a C++ stream: it would bring half a megabyte of locales into the addon.
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "r"));
  if (file == nullptr) return std::nullopt;
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  return versionIn(text);
}

}  // namespace tensorrt_node::cuda
