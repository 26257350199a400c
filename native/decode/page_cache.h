// The key and value cache as requests see it: a request gets the pages of all it may ever hold before it begins, those
// that hold its first tokens already among them.
//
// All pages of a request are reserved at once, up to its last new token. So a running request never waits for memory
// and never loses any, and its row in the table of pages is written once, with no word from the host while it decodes.
// Growing page by page would admit more requests when many end early, and need preemption for when they do not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "page_pool.h"
#include "prefix_index.h"

namespace tensorrt_node::decode {

class PageCache;

// The pages of one request, and which tokens they hold. Released when destroyed: what they hold is kept for later
// requests until memory is wanted. Does not outlive its cache.
class SequencePages {
 public:
  ~SequencePages() { release(); }
  SequencePages(SequencePages&& other) noexcept;
  SequencePages& operator=(SequencePages&& other) noexcept;

  // In the order of the sequence.
  std::span<const Page> pages() const noexcept { return pages_; }
  // Tokens whose keys and values are there.
  std::size_t held() const noexcept { return tokens_.size(); }

  // Before anything is written: takes what others have written of the prompt since.
  void refresh(std::span<const std::int32_t> prompt);
  // The first page that will be written must be made equal to another before: from, to.
  std::optional<std::pair<Page, Page>> copy() const noexcept;
  // The copy is queued.
  void copied();

  // Work is queued that writes the keys and values of `tokens`, after those held.
  void written(std::span<const std::int32_t> tokens);

  // What was written for this is found by nobody from now on.
  void forget();

  void release() noexcept;

 private:
  friend class PageCache;
  SequencePages(PageCache* cache, std::optional<PrefixNode> node) noexcept : cache_(cache), node_(node) {}

  // Takes the full pages that hold what follows, in the place of pages that hold nothing. The page that holds a part of
  // what follows them is returned.
  std::optional<PrefixIndex::Match> extend(std::span<const std::int32_t> tokens);
  void dropSource();

  PageCache* cache_;
  // Where the pages that are in the index end; none where nothing is to be found again.
  std::optional<PrefixNode> node_;
  std::size_t indexed_ = 0;
  // Of those, pages that were there before.
  std::size_t found_ = 0;
  std::vector<Page> pages_;
  std::vector<std::int32_t> tokens_;
  // Held by this until it is copied.
  std::optional<Page> source_;
};

// For one thread. Work on pages must be done in the order in which it is queued: a page is given to the next request
// while work of the one before may still be under way.
class PageCache {
 public:
  explicit PageCache(std::size_t pages) : pool_(pages) {}

  PrefixNode makeRoot() noexcept { return index_.makeRoot(); }

  // Pages for `total` tokens that begin with `prompt`, as many as may be with what was there below `root`; the last
  // token of the prompt is never held, as it has to be run. Without a root nothing is found, nor found later. None
  // when there are too few pages now.
  std::optional<SequencePages> reserve(std::optional<PrefixNode> root, std::span<const std::int32_t> prompt,
                                       std::size_t total);

  // Gives up what kept pages hold.
  void dropKept();

  const PagePool& pool() const noexcept { return pool_; }

 private:
  friend class SequencePages;
  Page take();
  // The tokens that agree with `match` are there once its page is copied.
  void holdSource(SequencePages& sequence, const PrefixIndex::Match& match, std::span<const std::int32_t> tokens);

  PagePool pool_;
  PrefixIndex index_;
};

}  // namespace tensorrt_node::decode
