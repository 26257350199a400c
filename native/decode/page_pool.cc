#include "page_pool.h"

#include <stdexcept>

namespace tensorrt_node::decode {

PagePool::PagePool(std::size_t pages) : entries_(pages) {
  free_.reserve(pages);
  // Low numbers are given first.
  for (std::size_t i = pages; i > 0; --i) free_.push_back(static_cast<Page>(i - 1));
}

PagePool::Taken PagePool::take() {
  if (available() == 0) throw std::logic_error("a page was taken from a pool that has none");
  Taken taken{none, free_.empty()};
  if (taken.wasKept) {
    taken.page = oldest_;
    unlink(taken.page);
  } else {
    taken.page = free_.back();
    free_.pop_back();
  }
  entry(taken.page).holders = 1;
  return taken;
}

void PagePool::hold(Page page) {
  Entry& held = entry(page);
  if (held.holders == 0) {
    if (!held.kept) throw std::logic_error("a free page was shared");
    unlink(page);
  }
  ++held.holders;
}

void PagePool::release(Page page, bool keep) {
  Entry& released = entry(page);
  if (released.holders == 0) throw std::logic_error("a page was released that nobody holds");
  if (--released.holders > 0) return;
  if (!keep) {
    free_.push_back(page);
    return;
  }
  released.kept = true;
  released.older = newest_;
  released.newer = none;
  (newest_ == none ? oldest_ : entry(newest_).newer) = page;
  newest_ = page;
  ++kept_;
}

std::vector<Page> PagePool::keptPages() const {
  std::vector<Page> pages;
  for (Page page = oldest_; page != none; page = entry(page).newer) pages.push_back(page);
  return pages;
}

void PagePool::unlink(Page page) noexcept {
  Entry& linked = entry(page);
  (linked.older == none ? oldest_ : entry(linked.older).newer) = linked.newer;
  (linked.newer == none ? newest_ : entry(linked.newer).older) = linked.older;
  linked.kept = false;
  linked.older = none;
  linked.newer = none;
  --kept_;
}

}  // namespace tensorrt_node::decode
