// Which of a store's weights lie where in its VRAM: what stays apart from runs, resident runs, places of streamed runs,
// staging.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "block_layout.h"
#include "matrix.h"
#include "store.h"

namespace tensorrt_node::weights {

struct RunLayout {
  BlockLayout block;
  // In the order of a step; nothing for a resident run.
  std::optional<std::size_t> streamed;
  // Read where it is in pinned memory; has no offset.
  bool pinned = false;
  std::size_t place = 0;
  // Of its block, or its place.
  std::uint64_t offset = 0;
};

struct StoreLayout {
  // Weights that several runs take, and those that are kept; at the beginning.
  BlockLayout apart;
  std::vector<RunLayout> runs;
  // With what is apart.
  std::uint64_t residentBytes = 0;
  std::size_t places = 0;
  std::uint64_t placeBytes = 0;
  std::uint64_t placeStride = 0;

  // Of all places.
  std::uint64_t ringBytes() const noexcept { return places == 0 ? 0 : placeBytes + (places - 1) * placeStride; }
  std::uint64_t stagingOffset() const noexcept { return residentBytes + ringBytes(); }
  // Where the run has the weight: in the store's VRAM, or in the run's own pinned memory.
  struct Location {
    bool pinned;
    std::uint64_t offset;
  };
  // Throws std::out_of_range where the run does not take the weight.
  Location locate(std::size_t run, std::size_t weight) const;
};

// `places` and `kept` as in StoreOptions. Throws std::out_of_range for a weight that is none.
StoreLayout layOut(std::span<const Matrix> matrices, std::span<const StoreRun> runs, std::size_t places,
                   std::span<const std::size_t> kept);

}  // namespace tensorrt_node::weights
