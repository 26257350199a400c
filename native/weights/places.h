// Which place in VRAM each streamed run has, in every step the same.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tensorrt_node::weights {

// Places for so many streamed runs; 0: no fewer places than runs would do, so they may as well stay in VRAM.
//
// Two let a copy go on while a run is computed. With an odd number of runs the last and the first, which follow each
// other, have the same one, and once a step a copy waits for a run. More would only help where computing takes about as
// long as copying and both vary, which is not worth the VRAM.
constexpr std::size_t placesFor(std::size_t runs) noexcept {
  return runs <= 2 ? 0 : 2;
}

// Bytes from the beginning of a place to that of the next. Two share all of their memory but an eighth of a place: a
// copy fills the eighth that is its place's own while the run before is computed, which takes a smaller part of the
// time of a copy: on an H100 a fiftieth for few rows, a sixth for 2000.
constexpr std::uint64_t placeStride(std::uint64_t placeBytes, std::size_t places, std::uint64_t alignment) noexcept {
  return places == 2 ? (placeBytes / 8 + alignment - 1) / alignment * alignment : placeBytes;
}

// Place of the `run`-th of `runs` streamed runs. With three places or more no run has that of the one before it, the
// last counted as before the first; with two that takes an even number.
constexpr std::size_t placeOf(std::size_t run, std::size_t runs, std::size_t places) noexcept {
  // Else the last would have place 0, as the first has.
  const bool wrapsBadly = places >= 3 && runs % places == 1;
  return wrapsBadly && run == runs - 1 ? 1 : run % places;
}

}  // namespace tensorrt_node::weights
