#include "page_cache.h"

#include <algorithm>

namespace tensorrt_node::decode {

SequencePages::SequencePages(SequencePages&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)),
      node_(other.node_),
      indexed_(other.indexed_),
      found_(other.found_),
      pages_(std::move(other.pages_)),
      tokens_(std::move(other.tokens_)),
      source_(std::exchange(other.source_, std::nullopt)) {}

SequencePages& SequencePages::operator=(SequencePages&& other) noexcept {
  std::swap(cache_, other.cache_);
  std::swap(node_, other.node_);
  std::swap(indexed_, other.indexed_);
  std::swap(found_, other.found_);
  std::swap(pages_, other.pages_);
  std::swap(tokens_, other.tokens_);
  std::swap(source_, other.source_);
  return *this;
}

std::optional<std::pair<Page, Page>> SequencePages::copy() const noexcept {
  if (!source_) return std::nullopt;
  return std::pair(*source_, pages_[held() / pageTokens]);
}

void SequencePages::copied() {
  if (source_) cache_->pool_.release(*source_, true);
  source_.reset();
}

void SequencePages::dropSource() {
  if (!source_) return;
  copied();
  tokens_.resize(indexed_ * pageTokens);
}

std::optional<PrefixIndex::Match> SequencePages::extend(std::span<const std::int32_t> tokens) {
  std::optional<PrefixIndex::Match> match;
  while (node_) {
    match = cache_->index_.find(*node_, tokens.subspan(indexed_ * pageTokens));
    if (!match || !match->next) break;
    cache_->pool_.hold(match->page);
    if (indexed_ < pages_.size()) {
      cache_->pool_.release(std::exchange(pages_[indexed_], match->page), false);
    } else {
      pages_.push_back(match->page);
    }
    node_ = match->next;
    ++indexed_;
  }
  found_ = indexed_;
  const auto more = tokens.subspan(held(), indexed_ * pageTokens - held());
  tokens_.insert(tokens_.end(), more.begin(), more.end());
  return match;
}

void SequencePages::refresh(std::span<const std::int32_t> prompt) {
  dropSource();
  const auto useful = prompt.first(prompt.size() - 1);
  if (const auto match = extend(useful)) cache_->holdSource(*this, *match, useful);
}

void SequencePages::written(std::span<const std::int32_t> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  for (; node_ && (indexed_ + 1) * pageTokens <= held(); ++indexed_)
    node_ =
        cache_->index_.insert(*node_, std::span(tokens_).subspan(indexed_ * pageTokens, pageTokens), pages_[indexed_]);
}

void SequencePages::forget() {
  dropSource();
  for (std::size_t i = found_; i < indexed_; ++i) cache_->index_.remove(pages_[i]);
  node_.reset();
}

void SequencePages::release() noexcept {
  if (cache_ == nullptr) return;
  // What was never copied is not there.
  dropSource();
  PageCache& cache = *std::exchange(cache_, nullptr);
  // The last page too, as far as it goes: the next turn of a conversation begins there.
  const auto rest = std::span(tokens_).subspan(std::min(indexed_ * pageTokens, held()));
  if (node_ && !rest.empty()) cache.index_.insert(*node_, rest, pages_[indexed_]);
  // The end first, so that it is given up first: a page without those before it is of no use.
  for (auto page = pages_.rbegin(); page != pages_.rend(); ++page)
    cache.pool_.release(*page, cache.index_.contains(*page));
  pages_.clear();
}

void PageCache::dropKept() {
  for (const Page page : pool_.keptPages()) {
    index_.remove(page);
    pool_.hold(page);
    pool_.release(page, false);
  }
}

Page PageCache::take() {
  const auto [page, wasKept] = pool_.take();
  if (wasKept) index_.remove(page);
  return page;
}

std::optional<SequencePages> PageCache::reserve(std::optional<PrefixNode> root, std::span<const std::int32_t> prompt,
                                                std::size_t total) {
  SequencePages sequence(this, root);
  const auto useful = prompt.first(prompt.size() - 1);
  const auto match = sequence.extend(useful);
  const std::size_t wanted = pagesFor(total) - sequence.pages_.size();
  if (match) {
    holdSource(sequence, *match, useful);
    // That page may be the very one that is missing.
    if (pool_.available() < wanted) sequence.dropSource();
  }
  if (pool_.available() < wanted) return std::nullopt;
  for (std::size_t i = 0; i < wanted; ++i) sequence.pages_.push_back(take());
  return sequence;
}

void PageCache::holdSource(SequencePages& sequence, const PrefixIndex::Match& match,
                           std::span<const std::int32_t> tokens) {
  pool_.hold(match.page);
  sequence.source_ = match.page;
  const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(sequence.held());
  sequence.tokens_.insert(sequence.tokens_.end(), first, first + static_cast<std::ptrdiff_t>(match.tokens));
}

}  // namespace tensorrt_node::decode
