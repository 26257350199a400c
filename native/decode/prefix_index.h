// Which pages hold which tokens, so that a sequence that begins like an earlier one finds their keys and values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "page_pool.h"

namespace tensorrt_node::decode {

// A place in the tree of all known beginnings: a root, or what follows all tokens up to the end of a page.
using PrefixNode = std::uint64_t;

// A tree of pages. Keys and values depend on all tokens before, so a page is found by its tokens below the page before
// it, compared in full. For one thread.
class PrefixIndex {
 public:
  struct Match {
    Page page;
    // Tokens that agree, from the page's first: at least one.
    std::size_t tokens;
    // What follows the page; only with all of a full page.
    std::optional<PrefixNode> next;
  };

  // Beginnings of another kind: nothing below one root is found below another.
  PrefixNode makeRoot() noexcept { return ++lastNode_; }

  // The page below `parent` that agrees with most of `tokens`.
  std::optional<Match> find(PrefixNode parent, std::span<const std::int32_t> tokens) const;

  // Notes that `page` holds `tokens`, at least one and at most a page's. Nothing is noted where another page serves as
  // well: that begins with the same tokens. What follows a full page is returned, whichever page it is.
  std::optional<PrefixNode> insert(PrefixNode parent, std::span<const std::int32_t> tokens, Page page);

  // The page holds something else from now on. What is below it is not found any more.
  void remove(Page page);

  bool contains(Page page) const { return places_.contains(page); }
  std::size_t size() const noexcept { return places_.size(); }

 private:
  struct View {
    PrefixNode parent;
    std::span<const std::int32_t> tokens;
  };
  struct Key {
    PrefixNode parent;
    std::vector<std::int32_t> tokens;
  };
  // Sorted by tokens, what agrees most with a sequence is beside the place where that would be.
  struct Less {
    using is_transparent = void;
    static View view(const Key& key) noexcept { return {key.parent, key.tokens}; }
    static View view(const View& key) noexcept { return key; }
    static bool less(const View& left, const View& right) noexcept;
    template <typename Left, typename Right>
    bool operator()(const Left& left, const Right& right) const noexcept {
      return less(view(left), view(right));
    }
  };
  struct Entry {
    Page page;
    PrefixNode node;
  };
  using Entries = std::map<Key, Entry, Less>;

  Entries entries_;
  std::unordered_map<Page, Entries::iterator> places_;
  PrefixNode lastNode_ = 0;
};

}  // namespace tensorrt_node::decode
