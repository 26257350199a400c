// Files read and written as a whole.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tensorrt_node::files {

// Nothing when there is no such file. Throws FileError.
std::optional<std::vector<std::byte>> readIfThere(const std::string& path);

// Makes or overwrites the file; when the disk is full or another write fails, it is removed. Throws FileError.
void write(const std::string& path, std::span<const std::byte> bytes);

// As write(), but readers see the old file or the new one: a temporary file beside it takes its name.
void replace(const std::string& path, std::span<const std::byte> bytes);
// One part after the other.
void replace(const std::string& path, std::span<const std::span<const std::byte>> parts);

}  // namespace tensorrt_node::files
