// The sizes that steps are padded to, and what padding looks like.
#include <string>

#include "check.h"
#include "decode/gpu/prompt_rows.h"
#include "decode/gpu/row_sizes.h"

using namespace tensorrt_node::decode;

namespace {

std::string text(const auto& numbers) {
  std::string all;
  for (const auto each : numbers) all += std::to_string(each) + " ";
  return all;
}

std::string list(const std::vector<std::int32_t>& words, std::size_t offset, std::size_t count) {
  return text(std::span(words).subspan(offset / 4, count));
}

}  // namespace

TEST(decode_row_sizes_are_powers_of_two_and_the_most) {
  CHECK_EQUAL(text(RowSizes(1, 16)), "16 8 4 2 1 ");
  CHECK_EQUAL(text(RowSizes(1, 20)), "20 16 8 4 2 1 ");
  CHECK_EQUAL(text(RowSizes(32, 40)), "40 32 ");
  CHECK_EQUAL(text(RowSizes(16, 16)), "16 ");
  CHECK_EQUAL(RowSizes(32, 31).size(), 0U);
}

TEST(decode_row_sizes_find_the_smallest_that_holds) {
  const RowSizes sizes(2, 12);
  CHECK_EQUAL(sizes.holding(1), 2);
  CHECK_EQUAL(sizes.holding(2), 2);
  CHECK_EQUAL(sizes.holding(5), 8);
  CHECK_EQUAL(sizes.holding(9), 12);
  CHECK_EQUAL(sizes.holding(13), 0);
  CHECK_EQUAL(RowSizes(2, 1).holding(1), 0);
}

TEST(decode_prompt_rows_are_padded) {
  const PromptLayout layout(100, 8, 4);
  for (const std::size_t offset :
       {layout.positions, layout.runStarts, layout.runSlots, layout.chosenRows, layout.chosenSlots, layout.bytes}) {
    CHECK_EQUAL(offset % 256, 0U);
    CHECK(offset > 0);
  }
  const std::vector<std::int32_t> one{7, 8, 9};
  const std::vector<std::int32_t> other{5, 6};
  const std::vector<PromptRun> runs{{.slot = 4, .position = 10, .tokens = one, .last = false},
                                    {.slot = 1, .position = 0, .tokens = other, .last = true}};
  const auto words = promptRows(layout, runs, Chosen::last, {.rows = 8, .runs = 5, .chosen = 2});
  CHECK_EQUAL(words.size() * 4, layout.bytes);
  CHECK_EQUAL(list(words, layout.tokens, 8), "7 8 9 5 6 0 0 0 ");
  CHECK_EQUAL(list(words, layout.positions, 8), "10 11 12 0 1 0 0 0 ");
  CHECK_EQUAL(list(words, layout.runStarts, 6), "0 3 5 8 8 8 ");
  CHECK_EQUAL(list(words, layout.runSlots, 5), "4 1 -1 -1 -1 ");
  CHECK_EQUAL(list(words, layout.chosenRows, 2), "4 -1 ");
  CHECK_EQUAL(list(words, layout.chosenSlots, 2), "1 -1 ");
}

TEST(decode_prompt_rows_of_a_step_as_it_is) {
  const PromptLayout layout(4, 2, 4);
  const std::vector<std::int32_t> tokens{7, 8, 9};
  const std::vector<PromptRun> runs{{.slot = 0, .position = 2, .tokens = tokens, .last = false}};
  const auto words = promptRows(layout, runs, Chosen::all, {.rows = 3, .runs = 1, .chosen = 4});
  CHECK_EQUAL(list(words, layout.runStarts, 2), "0 3 ");
  CHECK_EQUAL(list(words, layout.runSlots, 1), "0 ");
  CHECK_EQUAL(list(words, layout.chosenRows, 4), "0 1 2 -1 ");
  CHECK_EQUAL(list(words, layout.chosenSlots, 4), "0 0 0 -1 ");
  CHECK_EQUAL(rowsOf(runs), 3);
  CHECK_EQUAL(chosenOf(runs, Chosen::last), 0);
  CHECK_EQUAL(chosenOf(runs, Chosen::all), 3);
}

TEST(decode_prompt_rows_of_padding_alone) {
  const PromptLayout layout(4, 2, 1);
  const auto words = promptRows(layout, {}, Chosen::last, {.rows = 4, .runs = 2, .chosen = 1});
  CHECK_EQUAL(list(words, layout.runStarts, 3), "0 4 4 ");
  CHECK_EQUAL(list(words, layout.runSlots, 2), "-1 -1 ");
  CHECK_EQUAL(list(words, layout.chosenRows, 1), "-1 ");
}
