// Pages of the key and value cache, by number: who holds them, which are free, and which are kept for what they hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tensorrt_node::decode {

// Tokens whose keys and values a page holds.
constexpr std::int32_t pageTokens = 64;

// A page's number is the same in every layer.
using Page = std::int32_t;

// Pages that `tokens` take.
constexpr std::size_t pagesFor(std::size_t tokens) noexcept {
  return (tokens + pageTokens - 1) / pageTokens;
}

// A page is free, held (by one or more), or kept: held by nobody, but good for what it holds until memory is wanted.
// For one thread.
class PagePool {
 public:
  explicit PagePool(std::size_t pages);

  struct Taken {
    Page page;
    // It was kept: what it held is lost.
    bool wasKept;
  };

  // Held once: a free page, or else the one that is kept and was released first. There must be one: available() > 0.
  Taken take();
  // One holder more, of a page that is held or kept.
  void hold(Page page);
  // One holder less. Without any, the page is kept or free.
  void release(Page page, bool keep);

  std::size_t holders(Page page) const noexcept { return entry(page).holders; }
  std::size_t size() const noexcept { return entries_.size(); }
  // Pages that take() can still give.
  std::size_t available() const noexcept { return free_.size() + kept_; }
  std::size_t kept() const noexcept { return kept_; }
  std::size_t held() const noexcept { return size() - available(); }
  // Those kept, the one that was released first at first.
  std::vector<Page> keptPages() const;

 private:
  static constexpr Page none = -1;
  struct Entry {
    std::size_t holders = 0;
    bool kept = false;
    // Neighbours in the list of kept pages.
    Page older = none;
    Page newer = none;
  };

  Entry& entry(Page page) noexcept { return entries_[static_cast<std::size_t>(page)]; }
  const Entry& entry(Page page) const noexcept { return entries_[static_cast<std::size_t>(page)]; }
  void unlink(Page page) noexcept;

  std::vector<Entry> entries_;
  std::vector<Page> free_;
  std::size_t kept_ = 0;
  Page oldest_ = none;
  Page newest_ = none;
};

}  // namespace tensorrt_node::decode
