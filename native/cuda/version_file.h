// The driver's version, out of the files in which its kernel module tells it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tensorrt_node::cuda {

// The first "580.95.05" or "580.95" in a text: three digits at least before the first dot, which no compiler's has.
std::optional<std::string> versionIn(std::string_view text);

// The same of a file's first 4 KiB; nothing where it cannot be read, for whatever reason.
std::optional<std::string> versionInFile(const std::string& path);

}  // namespace tensorrt_node::cuda
