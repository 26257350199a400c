#include "prompt_rows.h"

#include <algorithm>

namespace tensorrt_node::decode {
namespace {

constexpr std::size_t alignment = 256;
constexpr std::size_t wordBytes = sizeof(std::int32_t);

}  // namespace

PromptLayout::PromptLayout(std::int32_t rows, std::int32_t runs, std::int32_t chosen) {
  const auto add = [this](std::int32_t words) {
    const std::size_t offset = bytes;
    bytes += (static_cast<std::size_t>(words) * wordBytes + alignment - 1) / alignment * alignment;
    return offset;
  };
  tokens = add(rows);
  positions = add(rows);
  runStarts = add(runs + 1);
  runSlots = add(runs);
  chosenRows = add(chosen);
  chosenSlots = add(chosen);
}

std::int32_t rowsOf(std::span<const PromptRun> runs) noexcept {
  std::size_t rows = 0;
  for (const PromptRun& run : runs) rows += run.tokens.size();
  return static_cast<std::int32_t>(rows);
}

std::int32_t chosenOf(std::span<const PromptRun> runs, Chosen chosen) noexcept {
  if (chosen == Chosen::all) return rowsOf(runs);
  return static_cast<std::int32_t>(std::ranges::count_if(runs, &PromptRun::last));
}

std::vector<std::int32_t> promptRows(const PromptLayout& layout, std::span<const PromptRun> runs, Chosen chosen,
                                     const PromptSizes& sizes) {
  std::vector<std::int32_t> words(layout.bytes / wordBytes, 0);
  const auto list = [&](std::size_t offset, std::int32_t count) {
    return std::span(words).subspan(offset / wordBytes, static_cast<std::size_t>(count));
  };
  const auto tokens = list(layout.tokens, sizes.rows);
  const auto positions = list(layout.positions, sizes.rows);
  const auto runStarts = list(layout.runStarts, sizes.runs + 1);
  const auto runSlots = list(layout.runSlots, sizes.runs);
  const auto chosenRows = list(layout.chosenRows, sizes.chosen);
  const auto chosenSlots = list(layout.chosenSlots, sizes.chosen);
  // Runs without rows, of no slot, and then one of all rows that are left.
  std::ranges::fill(runStarts, sizes.rows);
  std::ranges::fill(runSlots, -1);
  std::ranges::fill(chosenRows, -1);
  std::ranges::fill(chosenSlots, -1);

  std::size_t row = 0;
  std::size_t at = 0;
  const auto choose = [&](std::int32_t slot) {
    chosenRows[at] = static_cast<std::int32_t>(row);
    chosenSlots[at++] = slot;
  };
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const PromptRun& run = runs[i];
    runStarts[i] = static_cast<std::int32_t>(row);
    runSlots[i] = run.slot;
    for (std::size_t token = 0; token < run.tokens.size(); ++token, ++row) {
      tokens[row] = run.tokens[token];
      positions[row] = run.position + static_cast<std::int32_t>(token);
      if (chosen == Chosen::all || (run.last && token + 1 == run.tokens.size())) choose(run.slot);
    }
  }
  runStarts[runs.size()] = static_cast<std::int32_t>(row);
  return words;
}

}  // namespace tensorrt_node::decode
