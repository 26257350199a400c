#include "store_layout.h"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "places.h"

namespace tensorrt_node::weights {

namespace {

// Shared ones in the order in which a second run takes them, then what is kept.
std::vector<std::size_t> apartOf(std::span<const StoreRun> runs, std::span<const std::size_t> kept) {
  std::map<std::size_t, std::set<std::size_t>> takers;
  std::vector<std::size_t> apart;
  for (std::size_t run = 0; run < runs.size(); ++run)
    for (const std::size_t weight : runs[run].weights)
      if (takers[weight].insert(run).second && takers[weight].size() == 2) apart.push_back(weight);
  for (const std::size_t weight : kept)
    if (std::ranges::find(apart, weight) == apart.end()) apart.push_back(weight);
  return apart;
}

std::vector<std::size_t> ownOf(const StoreRun& run, const std::vector<std::size_t>& apart) {
  std::vector<std::size_t> own;
  for (const std::size_t weight : run.weights)
    if (std::ranges::find(apart, weight) == apart.end() && std::ranges::find(own, weight) == own.end())
      own.push_back(weight);
  return own;
}

std::optional<std::uint64_t> offsetIn(const BlockLayout& block, std::size_t weight) {
  const auto found = std::ranges::find(block.weights, weight, &PlacedWeight::weight);
  return found == block.weights.end() ? std::nullopt : std::optional(found->offset);
}

}  // namespace

StoreLayout::Location StoreLayout::locate(std::size_t run, std::size_t weight) const {
  const RunLayout& of = runs.at(run);
  if (const auto offset = offsetIn(of.block, weight)) return {.pinned = of.pinned, .offset = of.offset + *offset};
  if (const auto offset = offsetIn(apart, weight)) return {.pinned = false, .offset = *offset};
  throw std::out_of_range("run " + std::to_string(run) + " takes no weight " + std::to_string(weight));
}

StoreLayout layOut(std::span<const Matrix> matrices, std::span<const StoreRun> runs, std::size_t places,
                   std::span<const std::size_t> kept) {
  StoreLayout layout;
  const std::vector<std::size_t> apart = apartOf(runs, kept);
  layout.apart = layOut(matrices, apart);
  std::vector<RunLayout*> streamed;
  layout.runs.resize(runs.size());
  for (std::size_t run = 0; run < runs.size(); ++run) {
    RunLayout& of = layout.runs[run];
    of.block = layOut(matrices, ownOf(runs[run], apart));
    const bool inner = run > 0 && run + 1 < runs.size();
    of.pinned = run == 0 && runs.size() > 1 && runs[run].tier == Tier::ram && of.block.bytes > 0;
    if (inner && runs[run].tier != Tier::vram && of.block.bytes > 0) streamed.push_back(&of);
  }
  layout.places = places == 0 ? placesFor(streamed.size()) : std::max<std::size_t>(places, 2);
  if (layout.places == 0 || layout.places >= streamed.size()) {
    layout.places = 0;
    streamed.clear();
  }
  for (std::size_t i = 0; i < streamed.size(); ++i) {
    streamed[i]->streamed = i;
    streamed[i]->place = placeOf(i, streamed.size(), layout.places);
    layout.placeBytes = std::max(layout.placeBytes, streamed[i]->block.bytes);
  }
  layout.placeStride = placeStride(layout.placeBytes, layout.places, weightAlignment);
  layout.residentBytes = layout.apart.bytes;
  for (RunLayout& of : layout.runs) {
    if (of.streamed || of.pinned) continue;
    of.offset = layout.residentBytes;
    layout.residentBytes += of.block.bytes;
  }
  for (RunLayout* of : streamed) of->offset = layout.residentBytes + of->place * layout.placeStride;
  return layout;
}

}  // namespace tensorrt_node::weights
