// What a step of prompts reads, in one block of device memory: one copy brings it there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "../step_runner.h"

namespace tensorrt_node::decode {

// Where each list of 32-bit numbers begins, in bytes: multiples of what TensorRT wants of inputs.
struct PromptLayout {
  // For so many rows, runs, and rows whose logits are wanted.
  PromptLayout(std::int32_t rows, std::int32_t runs, std::int32_t chosen);

  std::size_t tokens = 0;
  std::size_t positions = 0;
  std::size_t runStarts = 0;
  std::size_t runSlots = 0;
  std::size_t chosenRows = 0;
  std::size_t chosenSlots = 0;
  std::size_t bytes = 0;
};

// How large a step is made: rows and runs beyond its own are padding, the padding rows being the last run's.
struct PromptSizes {
  std::int32_t rows;
  std::int32_t runs;
  std::int32_t chosen;
};

// Rows whose logits are wanted: those that end a prompt, or all.
enum class Chosen { last, all };
std::int32_t rowsOf(std::span<const PromptRun> runs) noexcept;
std::int32_t chosenOf(std::span<const PromptRun> runs, Chosen chosen) noexcept;

// As the block holds it. Sizes must hold the runs, with one to spare where rows are padded, and fit the layout.
std::vector<std::int32_t> promptRows(const PromptLayout& layout, std::span<const PromptRun> runs, Chosen chosen,
                                     const PromptSizes& sizes);

}  // namespace tensorrt_node::decode
