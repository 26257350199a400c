// Files in the offload folder: blocks of weights as they are wanted in memory, made once of what needs conversion.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "block_layout.h"
#include "host_block.h"
#include "matrix.h"

namespace tensorrt_node::weights {

// Bytes of a block's file: as many as can be read directly.
std::uint64_t offloadBytes(const BlockLayout& layout) noexcept;

// The block's file, whose name is made of all that its contents depend on, the sizes and dates of the model's files
// among them. Throws FileError.
std::string offloadPath(const std::string& folder, std::span<const Matrix> matrices, const BlockLayout& layout);

// Whether the file is there, with as many bytes.
bool isOffloaded(const std::string& path, std::uint64_t bytes) noexcept;

// Makes the folder where there is none. Throws FileError.
void makeFolder(const std::string& folder);

// Writes the block, which has offloadBytes(); readers see all of it or nothing. Throws FileError, with nothing left
// behind: ENOSPC for a full disk.
void offload(const std::string& path, const HostBlock& block);

}  // namespace tensorrt_node::weights
