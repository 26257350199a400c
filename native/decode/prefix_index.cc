#include "prefix_index.h"

#include <algorithm>
#include <iterator>

namespace tensorrt_node::decode {

bool PrefixIndex::Less::less(const View& left, const View& right) noexcept {
  if (left.parent != right.parent) return left.parent < right.parent;
  return std::lexicographical_compare(left.tokens.begin(), left.tokens.end(), right.tokens.begin(), right.tokens.end());
}

std::optional<PrefixIndex::Match> PrefixIndex::find(PrefixNode parent, std::span<const std::int32_t> tokens) const {
  const auto wanted = tokens.first(std::min<std::size_t>(tokens.size(), pageTokens));
  std::optional<Match> best;
  const auto consider = [&](Entries::const_iterator place) {
    const auto& [key, entry] = *place;
    if (key.parent != parent) return;
    const auto differ = std::mismatch(key.tokens.begin(), key.tokens.end(), wanted.begin(), wanted.end()).second;
    const auto agreed = static_cast<std::size_t>(differ - wanted.begin());
    if (agreed == 0 || (best && best->tokens >= agreed)) return;
    best = Match{entry.page, agreed, std::nullopt};
    if (agreed == pageTokens) best->next = entry.node;
  };
  const auto after = entries_.lower_bound(View{parent, wanted});
  if (after != entries_.end()) consider(after);
  if (after != entries_.begin()) consider(std::prev(after));
  return best;
}

std::optional<PrefixNode> PrefixIndex::insert(PrefixNode parent, std::span<const std::int32_t> tokens, Page page) {
  if (const auto match = find(parent, tokens); match && match->tokens == tokens.size()) return match->next;
  const auto place =
      entries_.emplace(Key{parent, std::vector(tokens.begin(), tokens.end())}, Entry{page, ++lastNode_}).first;
  places_.emplace(page, place);
  return tokens.size() == pageTokens ? std::optional(lastNode_) : std::nullopt;
}

void PrefixIndex::remove(Page page) {
  const auto found = places_.find(page);
  if (found == places_.end()) return;
  entries_.erase(found->second);
  places_.erase(found);
}

}  // namespace tensorrt_node::decode
