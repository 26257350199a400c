// Pages of the key and value cache: who holds them, what is found again, and what is given up.
#include <numeric>
#include <vector>

#include "check.h"
#include "decode/page_cache.h"

namespace decode = tensorrt_node::decode;

namespace {

std::vector<std::int32_t> tokensFrom(std::int32_t first, std::size_t count) {
  std::vector<std::int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

// A cache, and a request that runs all of a prompt and of what follows it.
struct Cache {
  explicit Cache(std::size_t pages) : cache(pages), root(cache.makeRoot()) {}

  decode::SequencePages reserve(const std::vector<std::int32_t>& prompt, std::size_t total) {
    auto pages = cache.reserve(root, prompt, total);
    CHECK(pages.has_value());
    return std::move(*pages);
  }

  decode::SequencePages run(const std::vector<std::int32_t>& tokens) {
    auto pages = reserve(tokens, tokens.size());
    pages.copied();
    pages.written(std::span(tokens).subspan(pages.held()));
    return pages;
  }

  decode::PageCache cache;
  decode::PrefixNode root;
};

}  // namespace

TEST(decode_pages_are_given_up_in_the_order_of_their_release) {
  decode::PagePool pool(3);
  for (decode::Page page = 0; page < 3; ++page) CHECK_EQUAL(pool.take().page, page);
  CHECK_EQUAL(pool.available(), 0U);
  pool.release(1, true);
  pool.release(0, true);
  pool.release(2, false);
  CHECK_EQUAL(pool.available(), 3U);
  CHECK_EQUAL(pool.kept(), 2U);
  CHECK_EQUAL(pool.take().page, 2);
  const auto first = pool.take();
  CHECK_EQUAL(first.page, 1);
  CHECK(first.wasKept);
  // Held again in time.
  pool.hold(0);
  CHECK_EQUAL(pool.available(), 0U);
  CHECK_THROWS(pool.take(), std::logic_error);
}

TEST(decode_pages_are_freed_by_their_last_holder) {
  decode::PagePool pool(1);
  const auto page = pool.take().page;
  pool.hold(page);
  pool.release(page, false);
  CHECK_EQUAL(pool.holders(page), 1U);
  CHECK_EQUAL(pool.held(), 1U);
  pool.release(page, false);
  CHECK_EQUAL(pool.held(), 0U);
  CHECK_THROWS(pool.release(page, false), std::logic_error);
  CHECK_THROWS(pool.hold(page), std::logic_error);
}

TEST(decode_prefix_index_finds_the_page_that_agrees_most) {
  decode::PrefixIndex index;
  const auto root = index.makeRoot();
  const auto full = tokensFrom(0, 64);
  auto parted = full;
  parted[40] = 1000;
  const auto next = index.insert(root, full, 7);
  CHECK(next.has_value());
  CHECK(index.insert(root, parted, 8).has_value());
  CHECK(!index.insert(root, tokensFrom(500, 10), 9).has_value());

  auto asked = full;
  asked.push_back(64);
  const auto find = [&](const std::vector<std::int32_t>& tokens) { return index.find(root, tokens).value(); };
  const auto whole = find(asked);
  CHECK_EQUAL(whole.page, 7);
  CHECK_EQUAL(whole.tokens, 64U);
  CHECK(whole.next == next);

  asked[50] = 2000;
  CHECK_EQUAL(find(asked).tokens, 50U);
  CHECK(!find(asked).next);
  asked[40] = 1000;
  CHECK_EQUAL(find(asked).page, 8);
  CHECK_EQUAL(find(asked).tokens, 50U);
  CHECK_EQUAL(find(tokensFrom(500, 64)).tokens, 10U);
  CHECK(!index.find(root, tokensFrom(501, 64)));
  CHECK(!index.find(root, {}));
  CHECK(!index.find(*next, full));
  CHECK(!index.find(index.makeRoot(), full));
}

TEST(decode_prefix_index_notes_nothing_twice_and_forgets) {
  decode::PrefixIndex index;
  const auto root = index.makeRoot();
  const auto full = tokensFrom(0, 64);
  const auto next = index.insert(root, full, 1);
  CHECK(index.insert(root, full, 2) == next);
  CHECK(!index.contains(2));
  // Another page begins with these.
  index.insert(root, tokensFrom(0, 20), 3);
  CHECK(!index.contains(3));
  index.insert(*next, tokensFrom(64, 5), 4);
  index.remove(1);
  index.remove(1);
  CHECK(!index.find(root, full));
  // What is below it is not found by its tokens alone, though it is noted still.
  CHECK(index.insert(root, full, 5) != next);
  CHECK(index.contains(4));
  CHECK_EQUAL(index.size(), 2U);
}

TEST(decode_pages_of_a_live_request_are_shared) {
  Cache cache(10);
  const auto tokens = tokensFrom(0, 200);
  const auto first = cache.run(tokens);
  auto other = tokens;
  other[130] = 5000;
  const auto second = cache.reserve(other, 200);
  CHECK_EQUAL(second.held(), 130U);
  CHECK_EQUAL(second.pages()[0], first.pages()[0]);
  CHECK_EQUAL(second.pages()[1], first.pages()[1]);
  CHECK(second.pages()[2] != first.pages()[2]);
  CHECK_EQUAL(cache.cache.pool().holders(first.pages()[0]), 2U);
  CHECK_EQUAL(cache.cache.pool().held(), 6U);
}

TEST(decode_pages_written_since_take_the_place_of_empty_ones) {
  Cache cache(10);
  const auto tokens = tokensFrom(0, 200);
  cache.run(tokensFrom(0, 70));
  auto first = cache.reserve(tokens, 200);
  auto second = cache.reserve(tokens, 200);
  CHECK_EQUAL(second.held(), 70U);
  CHECK_EQUAL(cache.cache.pool().held(), 8U);
  first.copied();
  first.written(std::span(tokens).subspan(70, 100));
  second.refresh(tokens);
  CHECK_EQUAL(second.held(), 128U);
  CHECK_EQUAL(second.pages()[1], first.pages()[1]);
  CHECK(second.pages()[2] != first.pages()[2]);
  CHECK(!second.copy());
  CHECK_EQUAL(second.pages().size(), 4U);
  CHECK_EQUAL(cache.cache.pool().held(), 6U);
  first.written(std::span(tokens).subspan(170));
  first.release();
  second.refresh(tokens);
  CHECK_EQUAL(second.held(), 199U);
  second.release();
  CHECK_EQUAL(cache.cache.pool().held(), 0U);
}

TEST(decode_pages_that_part_in_the_middle_are_copied) {
  Cache cache(10);
  const auto tokens = tokensFrom(0, 128);
  const auto first = cache.run(tokens);
  auto other = tokens;
  other[100] = 5000;
  auto second = cache.reserve(other, 128);
  CHECK_EQUAL(second.held(), 100U);
  const auto copy = second.copy();
  CHECK(copy.has_value());
  CHECK_EQUAL(copy->first, first.pages()[1]);
  CHECK_EQUAL(copy->second, second.pages()[1]);
  CHECK_EQUAL(cache.cache.pool().holders(first.pages()[1]), 2U);
  second.copied();
  CHECK(!second.copy());
  CHECK_EQUAL(cache.cache.pool().holders(first.pages()[1]), 1U);
}

TEST(decode_pages_leave_the_last_token_of_a_prompt_to_be_run) {
  Cache cache(10);
  const auto tokens = tokensFrom(0, 128);
  cache.run(tokens);
  const auto again = cache.reserve(tokens, 128);
  CHECK_EQUAL(again.held(), 127U);
  CHECK(again.copy().has_value());
  CHECK_EQUAL(cache.reserve({7}, 1).held(), 0U);
}

TEST(decode_pages_hold_the_last_turn_to_its_end) {
  Cache cache(10);
  auto tokens = tokensFrom(0, 100);
  cache.run(tokens);
  for (int turn = 0; turn < 5; ++turn) {
    const auto before = tokens.size();
    for (int i = 0; i < 30; ++i) tokens.push_back(turn * 1000 + i);
    // The last page was copied, and its copy is found.
    CHECK_EQUAL(cache.reserve(tokens, tokens.size()).held(), before);
    cache.run(tokens);
  }
  CHECK_EQUAL(cache.cache.pool().held(), 0U);
}

TEST(decode_pages_that_were_never_copied_are_not_found) {
  Cache cache(10);
  cache.run(tokensFrom(0, 100));
  auto other = tokensFrom(0, 100);
  other.push_back(5);
  {
    const auto failed = cache.reserve(other, 101);
    CHECK_EQUAL(failed.held(), 100U);
  }
  const auto again = cache.reserve(other, 101);
  CHECK_EQUAL(again.held(), 100U);
  CHECK_EQUAL(cache.cache.pool().kept(), 0U);
  CHECK_EQUAL(cache.cache.pool().held(), 3U);
}

TEST(decode_pages_are_reserved_to_the_end_of_the_reply) {
  Cache cache(4);
  const auto first = cache.reserve(tokensFrom(0, 10), 129);
  CHECK_EQUAL(first.pages().size(), 3U);
  CHECK(!cache.cache.reserve(cache.root, tokensFrom(500, 10), 65));
  // What was found on the way is let go.
  CHECK_EQUAL(cache.cache.pool().held(), 3U);
  CHECK_EQUAL(cache.reserve(tokensFrom(500, 10), 64).pages().size(), 1U);
}

TEST(decode_pages_kept_for_others_are_given_up_from_the_end) {
  Cache cache(4);
  cache.run(tokensFrom(0, 256));
  CHECK_EQUAL(cache.cache.pool().kept(), 4U);
  cache.run(tokensFrom(5000, 100));
  const auto first = cache.reserve(tokensFrom(0, 256), 256);
  CHECK_EQUAL(first.held(), 128U);
}

TEST(decode_pages_do_without_the_page_to_copy_where_there_is_no_other) {
  Cache cache(2);
  cache.run(tokensFrom(0, 100));
  // Both pages are needed for the new request: the second cannot be copied from itself.
  auto other = tokensFrom(0, 100);
  other[90] = 5000;
  const auto pages = cache.reserve(other, 128);
  CHECK_EQUAL(pages.held(), 64U);
  CHECK(!pages.copy());
}

TEST(decode_pages_of_different_roots_share_nothing) {
  Cache cache(10);
  const auto tokens = tokensFrom(0, 100);
  cache.run(tokens);
  CHECK_EQUAL(cache.cache.reserve(cache.cache.makeRoot(), tokens, 100)->held(), 0U);
  CHECK_EQUAL(cache.cache.reserve(std::nullopt, tokens, 100)->held(), 0U);
  // Of no root at all, and so not kept.
  const auto kept = cache.cache.pool().kept();
  {
    auto alone = cache.cache.reserve(std::nullopt, tokens, 100);
    alone->written(tokens);
  }
  CHECK_EQUAL(cache.cache.pool().kept(), kept);
}

TEST(decode_pages_with_the_same_tokens_at_once_are_found_once) {
  Cache cache(10);
  const auto tokens = tokensFrom(0, 128);
  auto first = cache.reserve(tokens, 128);
  auto second = cache.reserve(tokens, 128);
  first.written(tokens);
  second.written(tokens);
  first.release();
  second.release();
  CHECK_EQUAL(cache.cache.pool().held(), 0U);
  CHECK_EQUAL(cache.cache.pool().kept(), 2U);
  // Moved, it is released once.
  auto third = cache.run(tokens);
  auto moved = std::move(third);
  third = std::move(moved);
  third.release();
  third.release();
  CHECK_EQUAL(cache.cache.pool().held(), 0U);
}
