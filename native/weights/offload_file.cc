#include "offload_file.h"

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include "../cuda/driver.h"
#include "../files/error.h"
#include "../files/whole_file.h"
#include "direct_file.h"

namespace tensorrt_node::weights {

namespace {

// Two FNV-1a hashes of 64 bits, with different starts.
class Digest {
 public:
  void add(std::span<const std::byte> bytes) noexcept {
    for (const std::byte each : bytes) {
      for (std::uint64_t& hash : hashes_) hash = (hash ^ static_cast<std::uint64_t>(each)) * 0x100000001b3;
      // Else the second would only be the first one shifted.
      hashes_[1] = hashes_[1] << 1 | hashes_[1] >> 63;
    }
  }
  template <typename Number>
    requires std::is_arithmetic_v<Number> || std::is_enum_v<Number>
  void add(Number number) noexcept {
    add(std::as_bytes(std::span(&number, 1)));
  }
  void add(std::string_view text) noexcept {
    add(text.size());
    add(std::as_bytes(std::span(text)));
  }
  std::string text() const {
    std::array<char, 33> digits{};
    std::snprintf(digits.data(), digits.size(), "%016llx%016llx", static_cast<unsigned long long>(hashes_[0]),
                  static_cast<unsigned long long>(hashes_[1]));
    return digits.data();
  }

 private:
  std::array<std::uint64_t, 2> hashes_{0xcbf29ce484222325, 0x84222325cbf29ce4};
};

void add(Digest& digest, const Source& source) {
  digest.add(source.offset);
  digest.add(source.bytes);
  if (source.bytes == 0) return;
  if (source.inlined != nullptr) {
    digest.add(std::span(*source.inlined)
                   .subspan(static_cast<std::size_t>(source.offset), static_cast<std::size_t>(source.bytes)));
    return;
  }
  struct stat status {};
  if (::stat(source.path.c_str(), &status) != 0) throw files::FileError("stat", source.path, errno);
  digest.add(source.path);
  digest.add(status.st_size);
  digest.add(status.st_mtim.tv_sec);
  digest.add(status.st_mtim.tv_nsec);
}

void add(Digest& digest, const kernels::QuantizedFormat& format) {
  digest.add(format.codes);
  digest.add(format.offsets);
  digest.add(format.block);
  digest.add(format.gated);
}

}  // namespace

std::uint64_t offloadBytes(const BlockLayout& layout) noexcept {
  return (layout.bytes + directAlignment - 1) / directAlignment * directAlignment;
}

std::string offloadPath(const std::string& folder, std::span<const Matrix> matrices, const BlockLayout& layout) {
  Digest digest;
  // Of the layout, of the packed form and of this list.
  digest.add(2);
  for (const PlacedWeight& placed : layout.weights) {
    const Matrix& matrix = matrices[placed.weight];
    digest.add(placed.offset);
    digest.add(matrix.type);
    digest.add(matrix.columns);
    digest.add(matrix.packed.has_value());
    if (matrix.packed) add(digest, *matrix.packed);
    for (const Piece& piece : matrix.pieces) {
      digest.add(piece.form);
      digest.add(piece.stored);
      digest.add(piece.rows);
      digest.add(piece.codes);
      digest.add(piece.block);
      digest.add(piece.otherWay);
      digest.add(piece.zeroPointType ? static_cast<int>(*piece.zeroPointType) : -1);
      for (const Source* source : {&piece.values, &piece.scales, &piece.zeroPoints}) add(digest, *source);
    }
  }
  return folder + "/" + digest.text() + ".weights";
}

bool isOffloaded(const std::string& path, std::uint64_t bytes) noexcept {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && static_cast<std::uint64_t>(status.st_size) == bytes;
}

void makeFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw files::FileError("mkdir", folder, error.value());
}

void offload(const std::string& path, const HostBlock& block) {
  std::vector<std::span<const std::byte>> parts;
  for (std::uint64_t done = 0; done < block.size(); done += parts.back().size()) {
    parts.push_back(block.at(done, block.size() - done));
    cuda::noteHostAccess(parts.back().data(), parts.back().size(), false);
  }
  files::replace(path, parts);
}

}  // namespace tensorrt_node::weights
